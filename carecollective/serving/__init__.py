"""How requests reach the application: the gunicorn worker that waits for clients, so that no thread has to."""
