"""Settings of a process that works on one of the tests' databases in a role of its own."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES["default"]["NAME"] = os.environ["TEST_DATABASE"]
DATABASES["default"]["OPTIONS"].pop("options", None)
