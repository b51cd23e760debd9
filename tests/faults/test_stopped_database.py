"""The database stops without a word: members wait, and monitors still get their answer in time."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.sites import Site
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
    pytest.mark.xdist_group("faults"),
    pytest.mark.slow,
]

MEMBERS = 30
# What a server that was stopped, and a machine with two processors, are given.
WITHIN = 5.0


@contextmanager
def stopped(site: Site) -> Iterator[None]:
    """Stop every process of the server's where it stands."""
    postmaster = site.postmaster()
    assert postmaster is not None
    processes = [postmaster, *site.children(postmaster)]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_health_is_answered_in_time_while_members_wait(site, seats, figure):
    def look() -> None:
        with suppress(OSError):
            site.call("GET", "/requests", timeout=30)

    members = [threading.Thread(target=look) for _number in range(MEMBERS)]
    with stopped(site):
        for member in members:
            member.start()
        time.sleep(4)
        for path, status in (("/api/health/live", 200), ("/api/health", 503)):
            began = time.monotonic()
            answer = site.call("GET", path, timeout=10)
            took = time.monotonic() - began
            figure(f"{path} is answered after", took, "s")
            assert answer.status == status
            assert took < WITHIN
    for member in members:
        member.join(40)
    wait_for(site.is_healthy, seconds=20)
    # Each process refuses for a second after the silence, and then lets one request try: the next test meets neither.
    wait_for(lambda: all(site.call("GET", "/requests").status == 200 for _number in range(16)), seconds=20)
