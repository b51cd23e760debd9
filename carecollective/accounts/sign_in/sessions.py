"""Sessions in the database, whose keys are looked up only when they can be one of ours."""

import re
from typing import Any

from django.contrib.sessions.backends import db

_WELL_FORMED = re.compile(r"[a-z0-9]{32}", re.ASCII)


class SessionStore(db.SessionStore):
    """Django's own, but for a cookie that no server of ours has set: it names no session, and is not handed to the database.

    A quoted cookie can spell NUL, which the database refuses with an error of its own.
    """

    def _validate_session_key(self, key: Any) -> bool:
        return isinstance(key, str) and _WELL_FORMED.fullmatch(key) is not None
