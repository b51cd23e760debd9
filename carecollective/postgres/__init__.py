"""PostgreSQL for the project: an embedded server where the operator brings none, and the roles on either.

Knows nothing of the Django apps, so that settings can ask it for connection URLs.
"""

from carecollective.postgres.binaries import bin_dir
from carecollective.postgres.credentials import secret_key
from carecollective.postgres.embedded import ensure_running, leave, lock_descriptor
from carecollective.postgres.errors import PostgresError
from carecollective.postgres.urls import (
    ROLE_NAMES,
    check_direct_url,
    connection_url,
    database_settings,
    derived_url,
    pooled_settings,
)

__all__ = [
    "ROLE_NAMES",
    "PostgresError",
    "bin_dir",
    "check_direct_url",
    "connection_url",
    "database_settings",
    "derived_url",
    "ensure_running",
    "leave",
    "lock_descriptor",
    "pooled_settings",
    "secret_key",
]
