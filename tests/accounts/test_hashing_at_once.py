"""Only a few passwords are hashed at a time."""

import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from argon2 import low_level
from django.contrib.auth.hashers import check_password, make_password

from carecollective.accounts.sign_in import hashers
from carecollective.web.server_limits import REQUEST_THREADS
from tests.waiting import wait_for


@pytest.fixture
def at_work(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many hashes are computed now, and how many were at most; each takes a little longer than it would."""
    counted, lock, verify = {"now": 0, "most": 0}, threading.Lock(), low_level.verify_secret

    def count(*args: Any, **kwargs: Any) -> Any:
        with lock:
            counted["now"] += 1
            counted["most"] = max(counted.values())
        time.sleep(0.02)
        try:
            return verify(*args, **kwargs)
        finally:
            with lock:
                counted["now"] -= 1

    monkeypatch.setattr("argon2._password_hasher.verify_secret", count)
    return counted


def test_forty_sign_ins_at_once_hash_two_at_a_time(at_work: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    # However slow the machine: this is about how many, not how long.
    monkeypatch.setattr(hashers, "WAIT_SECONDS", 120)
    monkeypatch.setattr(hashers, "_queue", threading.BoundedSemaphore(40))
    monkeypatch.setattr(hashers.BoundedArgon2Hasher, "memory_cost", 1024)
    kept = make_password("correct horse battery")
    with ThreadPoolExecutor(40) as pool:
        right = list(
            pool.map(lambda turn: check_password("correct horse battery" if turn % 2 else "no", kept), range(40))
        )
    assert right == [False, True] * 20
    assert at_work["most"] == hashers.HASHES_AT_ONCE == 2


@pytest.fixture
def hold() -> Iterator[Callable[[int], None]]:
    """Take so many turns, or places in the queue for one, until the test ends."""
    go_on, threads = threading.Event(), list[threading.Thread]()
    refused: list[BaseException] = []

    def wait() -> None:
        try:
            with hashers._hash_slot():
                go_on.wait(60)
        except hashers.TooManyHashes as problem:
            refused.append(problem)

    def take(count: int) -> None:
        free = hashers._queue._value
        threads.extend(threading.Thread(target=wait) for _number in range(count))
        for thread in threads[-count:]:
            thread.start()
        wait_for(lambda: hashers._queue._value == free - count, seconds=30)

    yield take
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert refused == []


def sign_in(client: Any) -> Any:
    given = {"email": "nobody@example.org", "password": "whatever"}
    return client.post("/api/auth/token", given, content_type="application/json")


def test_who_waits_too_long_for_a_turn_is_asked_to_come_again(
    client: Any, db: None, monkeypatch: pytest.MonkeyPatch, hold: Callable[[int], None]
) -> None:
    hold(hashers.HASHES_AT_ONCE)
    monkeypatch.setattr(hashers, "WAIT_SECONDS", 0.2)
    answer = sign_in(client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(answer["Retry-After"]) >= 1


def test_where_too_many_wait_nobody_else_does(client: Any, db: None, hold: Callable[[int], None]) -> None:
    """Or all threads of a process would wait for hashes, and nobody could read a page."""
    assert hashers.HASHES_AT_ONCE + hashers.HASHES_WAITING < REQUEST_THREADS
    hold(hashers.HASHES_AT_ONCE)
    hold(hashers.HASHES_WAITING)
    began = time.monotonic()
    assert sign_in(client).status_code == 429
    assert time.monotonic() - began < hashers.WAIT_SECONDS


def test_slots_are_given_back(client: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashers.BoundedArgon2Hasher, "memory_cost", 1024)
    kept = make_password("correct horse battery")
    for _turn in range(hashers.HASHES_AT_ONCE + hashers.HASHES_WAITING):
        check_password("no", kept)
    assert sign_in(client).status_code == 401


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_thread_keeps_the_memory_of_a_hash() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    hasher, threads = hashers.BoundedArgon2Hasher(), hashers.HASHES_AT_ONCE + hashers.HASHES_WAITING
    kept, all_here = hasher.encode("correct horse battery", "salt" * 6), threading.Barrier(threads)

    def check(_number: int) -> bool:
        all_here.wait(30)
        return bool(hasher.verify("correct horse battery", kept))

    before = resident()
    with ThreadPoolExecutor(threads) as pool:
        assert all(pool.map(check, range(threads)))
        assert resident() - before < 40 * 2**20


def test_a_hash_of_before_signs_in_and_is_replaced_by_a_smaller_one(
    db: None, member: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.PASSWORD_HASHERS = ["carecollective.accounts.sign_in.hashers.BoundedArgon2Hasher"]
    hasher = hashers.BoundedArgon2Hasher
    with monkeypatch.context() as before:
        for name, cost in (("memory_cost", 102_400), ("parallelism", 8)):
            before.setattr(hasher, name, cost)
        ada = member()
        ada.set_password("correct horse battery")
        ada.save(update_fields=["password"])
    assert "m=102400,t=2,p=8" in ada.password
    assert not ada.check_password("wrong")
    assert "m=102400" in ada.password
    assert ada.check_password("correct horse battery")
    ada.refresh_from_db()
    assert "m=19456,t=2,p=1" in ada.password
    assert ada.check_password("correct horse battery")
