"""What happened: every start and send, counted and recorded."""
