from typing import Any

import pytest


@pytest.fixture
def quick_passwords(settings: Any) -> None:
    """For tests that make many passwords: a hash that costs nothing before those that members have."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
