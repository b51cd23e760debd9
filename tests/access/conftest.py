from collections.abc import Callable
from typing import Any

import pytest

from tests.access.world import World, make_world


@pytest.fixture
def world(db: None, stage: Callable[..., None], settings: Any) -> World:
    """A community whose new conversations are V2's, while V1 still takes messages."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    stage("enabled", v1_writes=True)
    return make_world()
