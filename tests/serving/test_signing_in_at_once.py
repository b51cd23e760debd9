"""Forty people sign in at once: memory stays bounded, and health is still answered."""

import http.client
import json
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.contrib.auth.hashers import make_password

from carecollective.accounts.models import User
from carecollective.accounts.sign_in.hashers import HASHES_AT_ONCE
from tests.figures import Figure

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

PEOPLE, PASSWORD = 40, "three green apples"
HASH_MEGABYTES = 100
# The memory for forty requests, beside the hashes.
OTHER_MEGABYTES = 60
# The limit that /api/health promises.
HEALTH_SECONDS = 5.0


def ask(place: tuple[str, int], method: str, path: str, body: object = None) -> tuple[int, float]:
    """Return the status, and how many seconds the answer took."""
    connection = http.client.HTTPConnection(*place, timeout=60)
    began = time.monotonic()
    try:
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, time.monotonic() - began
    finally:
        connection.close()


def workers(port: int) -> list[Path]:
    """The folders in /proc of the processes that serve this port."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f":{port}\0".encode() in (folder / "cmdline").read_bytes():
                found[folder.name] = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
    return [Path("/proc") / pid for pid, parent in found.items() if parent in found]


def megabytes(worker: Path, figure: str) -> int:
    """Return the memory of a process: now (VmRSS), or at most (VmHWM)."""
    found = re.search(rf"{figure}:\s+(\d+) kB", (worker / "status").read_text())
    assert found is not None
    return int(found[1]) // 1024


@pytest.fixture
def addresses(committed_db: None) -> list[str]:
    kept = make_password(PASSWORD)
    people = [User(name=f"Person {n}", email=f"person{n}@example.org", password=kept) for n in range(PEOPLE)]
    for person in people:
        person.save(force_insert=True)
    return [str(person.email) for person in people]


def test_forty_sign_ins_hold_neither_memory_nor_health(
    addresses: list[str], site: str, place: tuple[str, int], figure: Figure
) -> None:
    quiet = max(ask(place, "GET", "/api/health")[1] for _turn in range(20))
    serving = workers(place[1])
    assert serving
    before = {worker: megabytes(worker, "VmRSS") for worker in serving}
    health: list[tuple[int, float]] = []
    signed_in = threading.Event()

    def watch() -> None:
        while not signed_in.wait(0.05):
            health.append(ask(place, "GET", "/api/health"))

    def sign_in(email: str) -> tuple[int, int]:
        """Return the status and how often it was asked to come again."""
        for turn in range(20):
            status, _seconds = ask(place, "POST", "/api/auth/token", {"email": email, "password": PASSWORD})
            if status != 429:
                return status, turn
            time.sleep(1)
        return 429, 20

    watching = threading.Thread(target=watch)
    watching.start()
    began = time.monotonic()
    try:
        with ThreadPoolExecutor(PEOPLE) as pool:
            answers = list(pool.map(sign_in, addresses))
    finally:
        signed_in.set()
        watching.join(60)
    took = time.monotonic() - began
    # A worker that was replaced meanwhile has a lower maximum.
    grown = max(megabytes(worker, "VmHWM") - before[worker] for worker in serving if worker.exists())
    worst = max(seconds for _status, seconds in health)
    figure("all forty signed in after", took, "s")
    figure("asked to come again", sum(again for _status, again in answers), "times")
    figure("a worker grew by", grown, "MB at most")
    figure("health took at most", worst, f"s, {worst / quiet:.0f} times what it took before ({len(health)} looks)")
    assert {status for status, _again in answers} == {200}
    assert grown <= HASHES_AT_ONCE * HASH_MEGABYTES + OTHER_MEGABYTES
    assert {status for status, _seconds in health} == {200}
    assert worst <= HEALTH_SECONDS
