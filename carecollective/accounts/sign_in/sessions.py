"""Sessions in the database, looked up only by well-formed keys."""

import re
from typing import Any

from django.contrib.sessions.backends import db

_WELL_FORMED = re.compile(r"[a-z0-9]{32}", re.ASCII)


class SessionStore(db.SessionStore):
    """Django's session store, without queries for cookies that are not ours.

    A quoted cookie can hold NUL, which the database refuses with an error.
    """

    def _validate_session_key(self, key: Any) -> bool:
        return isinstance(key, str) and _WELL_FORMED.fullmatch(key) is not None
