"""The control room: one tree of what there is to see, for the page, the API and the command."""
