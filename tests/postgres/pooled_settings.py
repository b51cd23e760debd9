"""Settings of a process whose requests go through the pooler, as with DATABASE_URL and DATABASE_DIRECT_URL."""

import os

from carecollective.postgres.dsn import build_url, connection_url, database_settings, parse_url, pooled_settings
from tests.scratch_settings import *  # noqa: F403
from tests.scratch_settings import DATA_DIR, DATABASE_ROLE, DATABASES

direct_url = connection_url(DATA_DIR, DATABASE_ROLE, os.environ["TEST_DATABASE"])
if port := os.environ.get("TEST_DIRECT_PORT"):
    direct_url = build_url({**parse_url(direct_url), "host": "127.0.0.1", "port": port})
if DATABASE_ROLE == "web":
    pooled_url = build_url({**parse_url(direct_url), "host": "127.0.0.1", "port": os.environ["TEST_POOLER_PORT"]})
    DATABASES["default"] |= pooled_settings(pooled_url, direct_url) | {"CONN_MAX_AGE": None}
else:
    DATABASES["default"] |= database_settings(direct_url)
