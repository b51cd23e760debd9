"""The embedded PostgreSQL: its programs, its files, and the process that supervises it."""
