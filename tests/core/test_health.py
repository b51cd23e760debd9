"""What monitors are told by GET /api/health: 200 while everything works, 503 with what does not, and never a 500."""

import time

import pytest
from django.db import connection

from rollout import snapshot
from rollout.stages import ENABLED
from rollout.state import RolloutState
from tests.api.documented import DocumentedClient

BEAT = """
INSERT INTO core_workerheartbeat (name, beat_at) VALUES ('worker', clock_timestamp() - make_interval(secs => %s))
"""


@pytest.fixture
def heard():
    """Let the worker have been heard from so many seconds ago."""

    def beat(seconds):
        with connection.cursor() as cursor:
            cursor.execute(BEAT, [seconds])

    return beat


@pytest.fixture
def snapshot_read(settings, monkeypatch):
    """Let this process's thread have read the rollout's row so many seconds ago."""
    settings.ROLLOUT_SNAPSHOT = "thread"

    def read(seconds):
        follower = snapshot.Follower()
        state = RolloutState(stage=ENABLED, v1_writes=False, salt="salt", version=7, fresh=True)
        follower.remember(state, read_at=time.monotonic() - seconds)
        monkeypatch.setattr(snapshot, "start", lambda: follower)

    return read


@pytest.fixture
def database_away(django_db_blocker, monkeypatch):
    """Every new connection finds nobody listening."""
    with django_db_blocker.unblock():
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        monkeypatch.setitem(connection.settings_dict, "PORT", "1")
        yield
        connection.close()


def ask():
    """Return the answer's status, what it says as a whole, and its checks."""
    answer = DocumentedClient().get("/api/health")
    body = answer.json()
    assert set(body) == {"status", "checks"}
    assert set(body["checks"]) == {"database", "worker", "rollout_snapshot"}
    assert answer["X-Request-ID"]
    assert "no-store" in answer["Cache-Control"]
    return answer.status_code, body["status"], body["checks"]


def failing(checks):
    return [name for name, found in checks.items() if not found["ok"]]


def test_everything_works(db, heard):
    heard(1)
    status, said, checks = ask()
    assert (status, said, failing(checks)) == (200, "ok", [])
    assert checks["database"] == {"ok": True}
    assert 1 <= checks["worker"]["seconds_since_beat"] < 10
    assert checks["rollout_snapshot"] == {"ok": True, "age_seconds": 0.0}


@pytest.mark.parametrize(("seconds", "is_well"), [(28, True), (31, False)])
def test_a_worker_that_is_silent_for_half_a_minute_is_not_well(db, heard, seconds, is_well):
    heard(seconds)
    status, said, checks = ask()
    assert (status, said, failing(checks)) == ((200, "ok", []) if is_well else (503, "failing", ["worker"]))
    assert seconds <= checks["worker"]["seconds_since_beat"] < seconds + 2


def test_a_worker_that_was_never_heard_from_is_not_well(db):
    status, said, checks = ask()
    assert (status, said, failing(checks)) == (503, "failing", ["worker"])
    assert checks["worker"] == {"ok": False, "seconds_since_beat": None}


@pytest.mark.parametrize(("seconds", "is_well"), [(4, True), (5.5, False)])
def test_a_snapshot_of_over_five_seconds_is_not_well(db, heard, snapshot_read, seconds, is_well):
    heard(1)
    snapshot_read(seconds)
    status, said, checks = ask()
    assert (status, said, failing(checks)) == ((200, "ok", []) if is_well else (503, "failing", ["rollout_snapshot"]))
    assert seconds <= checks["rollout_snapshot"]["age_seconds"] < seconds + 1


def test_with_the_database_away_the_answer_is_503_and_names_all_that_hangs_on_it(database_away):
    assert ask() == (
        503,
        "failing",
        {
            "database": {"ok": False},
            "worker": {"ok": False, "seconds_since_beat": None},
            "rollout_snapshot": {"ok": False, "age_seconds": None},
        },
    )


def test_nothing_but_reading_is_answered():
    for method in ("post", "put", "patch", "delete"):
        answer = getattr(DocumentedClient(), method)("/api/health")
        assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
