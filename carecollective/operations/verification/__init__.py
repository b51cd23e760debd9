"""Compare the database with what was agreed, and try impersonation."""
