"""Killed at the worst moment, as often as you like: what was acknowledged is there, once, and the site comes back."""

import random
import sys
import time

import pytest

from tests.faults.client import DROPPED, NO_ANSWER, Report, Talk, talking
from tests.faults.scale import BACK_WITHIN, BACKEND_KILLS, POSTMASTER_KILLS, SENDS, WORKER_KILLS
from tests.figures import Figure
from tests.postgres.support import kill
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
    pytest.mark.xdist_group("faults"),
    pytest.mark.slow,
]


def finish(talk: Talk) -> None:
    """Talk on until enough has been said."""
    while talk.acknowledged < SENDS:
        talk.wait_for_more(1)


def check(talk: Talk, figure: Figure, *, also: tuple[str, ...] = ()) -> Report:
    """Hold that nothing was lost or repeated, and that in between there was a 503 at most, or what may be besides."""
    found = talk.report()
    figure("outcome", found.words)
    assert found.lost == 0
    assert found.duplicated == 0
    assert found.anomalies == []
    assert set(found.outcomes) <= {"200", "201", "503", *also}
    assert found.acknowledged == found.sent >= SENDS
    assert found.longest_wait < BACK_WITHIN
    broken = talk.site.rows("SELECT * FROM rollout_broken_conversations('-infinity') WHERE broken > 0")
    assert broken == []
    return found


def test_killed_workers_lose_nothing_and_repeat_nothing(site, seats, figure):
    chance = random.Random(1)
    back = []
    with talking(site, seats) as talk:
        for _ in range(WORKER_KILLS):
            wait_for(lambda: len(site.workers()) == 2, seconds=20)
            talk.wait_for_more(1)
            victim = chance.choice(site.workers())
            time.sleep(chance.uniform(0, 0.05))
            kill(victim)
            back.append(talk.wait_for_more(1))
        finish(talk)
    figure("workers killed", WORKER_KILLS)
    figure("everyone sends again after", max(back), "s at most")
    found = check(talk, figure, also=(NO_ANSWER,))
    # Four talk at once: a worker takes no more than their connections with it.
    assert found.outcomes[NO_ANSWER] <= WORKER_KILLS * len(talk.senders)


def test_killed_database_backends_lose_nothing_and_repeat_nothing(site, seats, figure):
    """The server ends all its sessions when one was killed, and recovers."""
    chance = random.Random(2)
    back = []
    with talking(site, seats) as talk:
        for _ in range(BACKEND_KILLS):
            talk.wait_for_more(2)
            kill(chance.choice(site.backends()))
            back.append(talk.wait_for_more(1))
        finish(talk)
    figure("backends killed", BACKEND_KILLS)
    figure("everyone sends again after", max(back), "s at most")
    check(talk, figure)


def test_a_killed_postmaster_is_replaced_and_loses_nothing(site, seats, figure):
    back, guarded = [], []
    with talking(site, seats) as talk:
        for _ in range(POSTMASTER_KILLS):
            talk.wait_for_more(2)
            before = site.postmaster()
            watched_at = site.guard_watched_at()
            kill(before)
            began = time.monotonic()
            back.append(talk.wait_for_more(1))
            wait_for(lambda: (site.guard_watched_at() or watched_at) > watched_at, seconds=20)  # noqa: B023
            guarded.append(time.monotonic() - began)
            assert site.postmaster() != before
        finish(talk)
    wait_for(site.is_healthy, seconds=10)
    figure("postmaster killed", POSTMASTER_KILLS)
    figure("everyone sends again after", max(back), "s at most")
    figure("the guard watches again after", max(guarded), "s at most")
    check(talk, figure)
    assert max(guarded) < BACK_WITHIN


def test_a_tenth_of_the_answers_lost_on_the_way_repeats_nothing(site, seats, figure):
    with talking(site, seats, drop=0.1) as talk:
        finish(talk)
    found = check(talk, figure, also=(DROPPED,))
    assert found.outcomes[DROPPED] > SENDS * 0.05
    assert found.outcomes["200"] > 0, "what had been stored was answered as such"


def test_the_harness_sees_a_loss_where_there_is_one(site, seats, figure):
    """The same client, the same comparison, on a database that acknowledges what it has not yet written down."""
    try:
        for name, value in (("wal_writer_delay", "10s"), ("wal_writer_flush_after", "1GB")):
            site.rows(f"ALTER SYSTEM SET {name} = '{value}'")
        site.rows("ALTER DATABASE carecollective SET synchronous_commit = off")
        begin_anew(site)
        with talking(site, seats, repeat=False) as talk:
            talk.wait_for_more(10)
            for sender in talk.senders:
                sender.stopping.set()
            kill(site.postmaster())
        wait_for(site.is_healthy, seconds=30)
        found = talk.report()
    finally:
        wait_for(site.is_healthy, seconds=30)
        site.rows("ALTER DATABASE carecollective RESET synchronous_commit")
        site.rows("ALTER SYSTEM RESET ALL")
        begin_anew(site)
    figure("outcome without synchronous commits", found.words)
    assert found.lost > 0
    assert site.value("SHOW synchronous_commit") == "on"


def begin_anew(site):
    """Let the server read its settings, and every session with it."""
    site.rows("SELECT pg_reload_conf()")
    time.sleep(0.3)
    site.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = 'carecollective' AND pid <> pg_backend_pid()"
    )
    wait_for(site.is_healthy, seconds=20)
