"""Slow clients do not slow down the others."""

import http.client
import os
import time
from concurrent.futures import ThreadPoolExecutor

from tests.serving.slow_clients import slow_clients

HONEST, ROUNDS = 50, 30 if os.environ.get("FAULTS") == "full" else 6
# Below this, a difference is noise of the machine.
SMALLEST_SECONDS = 0.1


def measure(place: tuple[str, int]) -> list[float]:
    """Return how long each request of the honest clients took, in seconds, sorted. Each has to be answered with 200."""

    def visit(number: int) -> list[float]:
        took = []
        for turn in range(ROUNDS):
            connection = http.client.HTTPConnection(*place, timeout=60)
            began = time.monotonic()
            connection.request("GET", "/api/health/live" if (turn + number) % 2 else "/help")
            answer = connection.getresponse()
            answer.read()
            took.append(time.monotonic() - began)
            assert answer.status == 200
            connection.close()
        return took

    with ThreadPoolExecutor(HONEST) as pool:
        return sorted(seconds for took in pool.map(visit, range(HONEST)) for seconds in took)


def p95(took: list[float]) -> float:
    return took[int(len(took) * 0.95)]


def test_honest_clients_do_not_notice_400_slow_ones(place: tuple[str, int]) -> None:
    measure(place)
    quiet = p95(measure(place))
    with slow_clients(place, count=400):
        # By now, every request that has to wait for a thread is waiting.
        time.sleep(1)
        under_attack = p95(measure(place))
    # Other programs run on this machine too: its pace now counts as well as its pace before.
    quiet = max(quiet, p95(measure(place)))
    print(f"p95 {quiet * 1000:.0f} ms quiet, {under_attack * 1000:.0f} ms among 400 slow clients")
    assert under_attack <= 3 * max(quiet, SMALLEST_SECONDS)
