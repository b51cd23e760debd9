"""The processes of the site: the server that waits for slow clients, the worker, and what keeps both running."""
