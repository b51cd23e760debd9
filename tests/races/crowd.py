"""Threads that start together, each with a connection of its own that it keeps between trials."""

import random
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

from django.db import connections

from tests.faults.scale import FULL

# Without its lock, each of these races went wrong in at least half of its trials: 25 find that.
MOST_TRIALS = 200
TRIALS = MOST_TRIALS if FULL else 25
# A race that is run in both versions is tried less in the one that is being replaced.
TRIALS_OF = {"v1": min(TRIALS, 100), "v2": TRIALS}
FEWER_TRIALS = 50 if FULL else 25
# What each of four writers sends while somebody polls.
MESSAGES_OF = {"v1": 75, "v2": 150} if FULL else {"v1": 50, "v2": 50}
FORM_TRIALS = 20 if FULL else 10
MOST = 8


def trials(times: int, *, seen: Collection[Any], kinds: int) -> Iterator[int]:
    """Count at least so many trials, and more until `seen` holds so many kinds of outcome."""
    for number in range(MOST_TRIALS):
        if number >= times and len(set(seen)) >= kinds:
            return
        yield number


class Crowd:
    def __enter__(self) -> "Crowd":
        self.threads = ThreadPoolExecutor(MOST)
        return self

    def __exit__(self, *unused: object) -> None:
        self._gather([connections.close_all] * MOST)
        self.threads.shutdown()

    def at_once(self, *calls: Callable[[], Any], jitter: float = 0.0) -> list[Any]:
        """Make the calls together, each up to `jitter` seconds late; return what they gave or the exception they raised."""
        return self._gather([partial(_late, call, random.uniform(0, jitter)) for call in calls])

    def _gather(self, calls: list[Callable[[], Any]]) -> list[Any]:
        barrier = Barrier(len(calls))
        return list(self.threads.map(partial(_attempt, barrier), calls))


def _late(call: Callable[[], Any], seconds: float) -> Any:
    time.sleep(seconds)
    return call()


def _attempt(barrier: Barrier, call: Callable[[], Any]) -> Any:
    barrier.wait(30)
    try:
        return call()
    except Exception as error:
        return error
