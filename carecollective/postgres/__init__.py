"""PostgreSQL: the embedded server, and the database roles on it or on a server of the operator's.

Imports no Django app, so that the settings can ask it for connection URLs.
"""

from carecollective.postgres.dsn import (
    ROLE_NAMES,
    check_direct_url,
    connection_url,
    database_settings,
    derived_url,
    pooled_settings,
)
from carecollective.postgres.embedded.binaries import bin_dir
from carecollective.postgres.embedded.credentials import secret_key
from carecollective.postgres.embedded.server import ensure_running, lock_descriptor, release
from carecollective.postgres.errors import PostgresError

__all__ = [
    "ROLE_NAMES",
    "PostgresError",
    "bin_dir",
    "check_direct_url",
    "connection_url",
    "database_settings",
    "derived_url",
    "ensure_running",
    "lock_descriptor",
    "pooled_settings",
    "release",
    "secret_key",
]
