from urllib.parse import urlsplit

import pytest


@pytest.fixture
def place(gunicorn_address: str) -> tuple[str, int]:
    """Where the site listens, for sockets."""
    parts = urlsplit(gunicorn_address)
    return str(parts.hostname), int(parts.port or 80)
