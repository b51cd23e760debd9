class OperationError(Exception):
    """An operation failed or was refused. The message is for the person at the terminal."""
