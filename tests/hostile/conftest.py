import logging
import random
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from tests.access.world import World, make_world
from tests.faults.scale import FULL
from tests.hostile.judge import Judge


@pytest.fixture
def world(db: None, stage: Callable[..., None], settings: Any) -> World:
    """A community whose new conversations are V2's, while V1 still takes messages, with time for thousands of requests."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.CONVERSATIONS_PER_HOUR = settings.MESSAGES_PER_MINUTE = 1_000_000
    stage("enabled", v1_writes=True)
    return make_world()


@pytest.fixture
def share() -> Callable[..., Any]:
    """Deal a corpus out: each place gets a part of it, another in every run, and all places together the whole.

    With `FAULTS=full` each place gets all of it.
    """
    turn = count(random.randrange(1000))

    def deal(values: Any, parts: int) -> Any:
        values = list(values)
        return values if FULL else values[next(turn) % parts :: parts]

    return deal


@pytest.fixture
def judge() -> Iterator[Judge]:
    """Collects what is wrong with each answer; `decide()` at the end says so. What thousands of refusals log is not kept."""
    logging.disable(logging.CRITICAL)
    yield Judge()
    logging.disable(logging.NOTSET)
