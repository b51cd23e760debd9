"""Settings of a process that reaches its database of the tests' through the proxy."""

import os

from tests.scratch_settings import *  # noqa: F403
from tests.scratch_settings import DATABASES

DATABASES["default"] |= {"HOST": "127.0.0.1", "PORT": os.environ["TEST_DATABASE_PORT"], "CONN_MAX_AGE": None}
