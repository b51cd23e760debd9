class PostgresError(Exception):
    """The database cannot be used. The message is one sentence for the person who started the program."""
