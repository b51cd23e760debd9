"""PostgreSQL: the embedded server, and the database roles on it or on a server of the operator's.

Imports no Django app, so that the settings can ask it for connection URLs.
"""
