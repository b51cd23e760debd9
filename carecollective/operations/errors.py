class OperationError(Exception):
    """Why an operation did not happen, in words for the person at the terminal."""
