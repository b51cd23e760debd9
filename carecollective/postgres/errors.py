class PostgresError(Exception):
    """What keeps the database from being used, in one sentence for the person who started the program."""
