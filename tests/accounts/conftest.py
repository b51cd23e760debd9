from typing import Any

import pytest


@pytest.fixture
def quick_passwords(settings: Any) -> None:
    """Hash passwords at no cost, for tests that make many of them."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
