"""Django's PostgreSQL backend, with a time limit of the client's own for the roles that serve."""

from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg import IsolationLevel

from carecollective.postgres.bounded import BoundedConnection, Silence
from carecollective.postgres.dsn import ROLE_NAMES
from carecollective.postgres.roles import LIMITED_ROLES

# A connection that was kept is looked at before it is used: enough for a busy server, and time left to open another.
LOOK_SECONDS = 1.5
silence = Silence()
BOUNDED = frozenset(ROLE_NAMES[role] for role in LIMITED_ROLES)


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        """Connect; as the web or guard role with a limit on each answer. Raises OperationalError."""
        if self.settings_dict["USER"] not in BOUNDED:
            connection: psycopg.Connection[Any] = super().get_new_connection(conn_params)
            return connection
        self.isolation_level = IsolationLevel.READ_COMMITTED
        return silence.connect(**conn_params)

    def is_usable(self) -> bool:
        """Tell whether the connection still answers."""
        held = self.connection
        if not isinstance(held, BoundedConnection):
            return bool(super().is_usable())
        if silence.is_known:
            return False
        held.answer_seconds = LOOK_SECONDS
        try:
            return bool(super().is_usable())
        finally:
            held.answer_seconds = BoundedConnection.answer_seconds
