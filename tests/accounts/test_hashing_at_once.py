"""Passwords are hashed a few at a time, whoever asks."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import low_level
from django.contrib.auth.hashers import check_password, make_password

from carecollective.accounts import hashers
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
    monkeypatch.setattr(hashers.BoundedArgon2Hasher, "memory_cost", 1024)
    kept = make_password("correct horse battery")
    with ThreadPoolExecutor(40) as pool:
        right = list(
            pool.map(lambda turn: check_password("correct horse battery" if turn % 2 else "no", kept), range(40))
        )
    assert right == [False, True] * 20
    assert at_work["most"] == hashers.HASHES_AT_ONCE == 2


def test_who_waits_too_long_for_a_turn_is_asked_to_come_again(
    client: Any, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashers, "WAIT_SECONDS", 0.2)
    go_on, inside = threading.Event(), threading.Semaphore(0)

    def hold() -> None:
        with hashers._one_of_few():
            inside.release()
            go_on.wait(60)

    holders = [threading.Thread(target=hold) for _number in range(hashers.HASHES_AT_ONCE)]
    for holder in holders:
        holder.start()
        assert inside.acquire(timeout=30)
    given = {"email": "nobody@example.org", "password": "whatever"}
    try:
        answer = client.post("/api/auth/token", given, content_type="application/json")
    finally:
        go_on.set()
        for holder in holders:
            holder.join(30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(answer["Retry-After"]) >= 1
    wait_for(
        lambda: client.post("/api/auth/token", given, content_type="application/json").status_code == 401, seconds=30
    )
