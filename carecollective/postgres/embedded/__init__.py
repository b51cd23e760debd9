"""The PostgreSQL that comes along: its programs, its files, and the process that owns it."""
