"""A site of one function, to test the gunicorn worker alone."""

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings

# Refusals read the settings.
settings.configure()


class Pieces(list[bytes]):
    """An answer that can be closed, as Django's can."""

    def close(self) -> None:
        pass


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with as many bytes as the path names."""
    wanted = environ["PATH_INFO"].strip("/")
    size = int(wanted) if wanted.isdigit() else 0
    start_response("200 OK", [("Content-Length", str(size))])
    pieces = [b"a" * min(65536, size - at) for at in range(0, size, 65536)]
    return Pieces(pieces)
