"""What is logged and reported, and under which request id."""
