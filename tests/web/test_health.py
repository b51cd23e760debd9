"""What monitors are told by GET /api/health: whether this host can serve members, within five seconds, and never a 500."""

import socket
import tempfile
import threading
import time
from contextlib import suppress

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from psycopg import sql

from carecollective.postgres import bounded
from carecollective.postgres.backend import base
from carecollective.web import health
from rollout.stages import ENABLED
from rollout.targeting import snapshot
from rollout.targeting.state import RolloutState
from tests import databases
from tests.api.documented import DocumentedClient

BEAT = """
INSERT INTO core_workerheartbeat (name, beat_at) VALUES ('worker', clock_timestamp() - make_interval(secs => %s))
"""
LEASE = "UPDATE rollout_guard_lease SET renewed_at = clock_timestamp() - make_interval(secs => %s)"
CHECKS = {"database", "worker", "guard", "messaging_v2", "rollout_snapshot"}
WITHIN = 5.0


@pytest.fixture(autouse=True)
def write_each_time(monkeypatch):
    """Let no test be answered by what the one before it wrote."""
    monkeypatch.setattr(health, "WRITE_EVERY_SECONDS", 0.0)


@pytest.fixture
def heard():
    """Let the worker have been heard from so many seconds ago."""

    def beat(seconds):
        with connection.cursor() as cursor:
            cursor.execute(BEAT, [seconds])

    return beat


@pytest.fixture
def looked(beyond_policies):
    """Let the guard have looked so many seconds ago."""

    def look(seconds):
        with beyond_policies() as cursor:
            cursor.execute(LEASE, [seconds])

    return look


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


class Wire:
    """A socket that leads to the tests' server until it is cut: then it takes whatever is said, and answers nothing."""

    def __init__(self, folder):
        self.is_cut = False
        self.server = f"{connection.settings_dict['HOST']}/.s.PGSQL.5432"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{folder}/.s.PGSQL.5432")
        self.listener.listen()
        self.ends = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                near, _address = self.listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self.server)
                self.ends += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source, target):
        with suppress(OSError):
            while said := source.recv(65536):
                if not self.is_cut:
                    target.sendall(said)


@pytest.fixture
def bounded_connection(committed_db, monkeypatch):
    """Limit this thread's connections as those of the role that serves; without the pause after a silent database."""
    connection.close()
    monkeypatch.setattr(base, "BOUNDED", {connection.settings_dict["USER"]})
    monkeypatch.setattr(bounded, "PAUSE_SECONDS", 0.0)
    yield
    connection.close()


@pytest.fixture
def wire(bounded_connection, monkeypatch):
    """Let this thread's connections go over a wire that can be cut."""
    with tempfile.TemporaryDirectory(prefix="care-wire-") as folder:
        wire = Wire(folder)
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "HOST", folder)
        yield wire
        connection.close()
        wire.close()


@pytest.fixture
def database_away(django_db_blocker, monkeypatch):
    """Every new connection finds nobody listening."""
    with django_db_blocker.unblock():
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        monkeypatch.setitem(connection.settings_dict, "PORT", "1")
        yield
        connection.close()


def ask(path="/api/health"):
    """Return the answer's status, what it says as a whole, and its checks."""
    began = time.monotonic()
    answer = DocumentedClient().get(path)
    assert time.monotonic() - began < WITHIN
    body = answer.json()
    assert set(body) == {"status", "checks"}
    assert set(body["checks"]) == CHECKS
    assert answer["X-Request-ID"]
    assert "no-store" in answer["Cache-Control"]
    assert not answer.cookies
    return answer.status_code, body["status"], body["checks"]


def failing(checks):
    return [name for name, found in checks.items() if not found["ok"]]


def test_everything_works(db, heard, looked):
    heard(1)
    looked(3)
    status, said, checks = ask()
    assert (status, said, failing(checks)) == (200, "ok", [])
    assert checks["database"] == {"ok": True}
    assert 1 <= checks["worker"]["seconds_since_beat"] < 10
    assert 3 <= checks["guard"]["seconds_since_look"] < 13
    assert checks["rollout_snapshot"] == {"ok": True, "age_seconds": 0.0}


def test_asking_leaves_no_row_behind(db, heard, beyond_policies):
    heard(1)
    ask()
    with beyond_policies() as cursor:
        cursor.execute("SELECT count(*) FROM core_writeprobe")
        assert cursor.fetchone() == (0,)


def test_a_process_writes_once_a_second_however_often_it_is_asked(db, monkeypatch):
    monkeypatch.setattr(health, "WRITE_EVERY_SECONDS", 60.0)
    monkeypatch.setattr(health, "_last_write", float("-inf"))
    with CaptureQueriesContext(connection) as made:
        assert [ask()[2]["database"]["ok"] for _ in range(3)] == [True] * 3
    assert len([query for query in made if "INTO core_writeprobe" in query["sql"]]) == 1


@pytest.mark.parametrize(("seconds", "is_well"), [(28, True), (31, False)])
def test_a_worker_silent_for_half_a_minute_is_named(db, heard, seconds, is_well):
    heard(seconds)
    status, said, checks = ask()
    assert (status, said, failing(checks)) == ((200, "ok", []) if is_well else (200, "degraded", ["worker"]))
    assert seconds <= checks["worker"]["seconds_since_beat"] < seconds + 2
    assert ("mail" in checks["worker"].get("message", "")) is not is_well


def test_a_worker_that_was_never_heard_from_is_named(db):
    status, said, checks = ask()
    assert (status, said, failing(checks)) == (200, "degraded", ["worker"])
    assert checks["worker"]["seconds_since_beat"] is None


@pytest.mark.parametrize("stage_name", ["disabled", "internal", "percentage:10", "enabled"])
@pytest.mark.parametrize(("seconds", "is_well"), [(55, True), (61, False)])
def test_an_absent_guard_is_named_at_every_stage(db, heard, looked, stage, stage_name, seconds, is_well):
    stage(stage_name)
    heard(1)
    looked(seconds)
    status, said, checks = ask()
    assert (status, said, failing(checks)) == ((200, "ok", []) if is_well else (200, "degraded", ["guard"]))
    assert seconds <= checks["guard"]["seconds_since_look"] < seconds + 4


def test_a_guard_that_never_ran_is_named(db, heard, beyond_policies):
    heard(1)
    with beyond_policies() as cursor:
        cursor.execute("DELETE FROM rollout_guard_lease")
    status, said, checks = ask()
    assert (status, said, failing(checks)) == (200, "degraded", ["guard"])
    assert checks["guard"]["seconds_since_look"] is None


def test_without_worker_and_guard_no_host_leaves_its_load_balancer(db, heard, looked, stage):
    """They are the whole site's, not one host's: every host would leave at once."""
    stage("enabled")
    heard(3600)
    looked(3600)
    status, said, checks = ask()
    assert (status, said, failing(checks)) == (200, "degraded", ["worker", "guard"])
    assert Client().get("/api/health/live").status_code == 200


@pytest.mark.parametrize(("seconds", "is_well"), [(4, True), (5.5, False)])
def test_a_snapshot_of_over_five_seconds_is_not_well(db, heard, snapshot_read, seconds, is_well):
    heard(1)
    snapshot_read(seconds)
    status, said, checks = ask()
    assert (status, said, failing(checks)) == ((200, "ok", []) if is_well else (503, "failing", ["rollout_snapshot"]))
    assert seconds <= checks["rollout_snapshot"]["age_seconds"] < seconds + 1


def holds_with_the_database_away():
    status, said, checks = ask()
    assert (status, said, failing(checks)) == (
        503,
        "failing",
        ["database", "worker", "guard", "rollout_snapshot", "messaging_v2"],
    )
    assert checks["database"]["message"].startswith("The database cannot be reached")
    assert checks["worker"] == {"ok": False, "seconds_since_beat": None}
    assert checks["guard"] == {"ok": False, "seconds_since_look": None}
    assert checks["rollout_snapshot"] == {"ok": False, "age_seconds": None}


def test_health_without_a_database_names_all_failing_checks(database_away):
    holds_with_the_database_away()


def test_a_silent_database_is_given_up(wire):
    wire.is_cut = True
    holds_with_the_database_away()


def test_a_database_that_stops_answering_is_given_up_and_found_again(wire, heard):
    heard(1)
    assert ask()[:2] == (200, "ok")
    # As a thread of the site keeps its connection between two requests.
    connection.settings_dict["CONN_MAX_AGE"] = None
    try:
        connection.ensure_connection()
        assert ask()[:2] == (200, "ok")
        wire.is_cut = True
        holds_with_the_database_away()
        wire.is_cut = False
        assert ask()[:2] == (200, "ok")
    finally:
        connection.settings_dict["CONN_MAX_AGE"] = 0


def test_a_database_that_lets_nobody_in_is_not_ready(committed_db):
    connection.close()
    database = sql.Identifier(django_settings.DATABASES["default"]["NAME"])
    with psycopg.connect(databases.superuser_url(django_settings.DATA_DIR), autocommit=True) as server:
        server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(database))
        try:
            holds_with_the_database_away()
        finally:
            server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(database))


def test_a_database_that_takes_no_writes_is_not_ready(committed_db, heard):
    heard(1)
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    status, said, checks = ask()
    assert (status, said, failing(checks)) == (503, "failing", ["database"])
    assert "read-only" in checks["database"]["message"]


def test_a_lock_on_every_table_is_not_ready_and_answered_in_time(bounded_connection, heard, connect_as):
    heard(1)
    with connect_as("superuser") as holder:
        for name in ("core_writeprobe", "core_workerheartbeat", "rollout_guard_lease", "rollout_flag"):
            holder.execute(sql.SQL("LOCK TABLE {}").format(sql.Identifier(name)))
        status, said, checks = ask()
    assert (status, said) == (503, "failing")
    assert "lock" in checks["database"]["message"]


@pytest.mark.parametrize("path", ["/api/health", "/api/health/live"])
@pytest.mark.parametrize("host", ["10.0.0.7:8000", "unknown.example", "a_b", "", "..", "[::bad", "x" * 300])
def test_any_host_is_answered_without_a_word_in_the_log(db, settings, caplog, path, host):
    settings.SECURE_SSL_REDIRECT = True
    answer = Client(HTTP_HOST=host).get(path)
    assert answer.status_code == 200
    assert not answer.cookies
    assert not caplog.records


def test_an_unknown_host_is_one_line_in_the_log_elsewhere(db, caplog):
    answer = Client(HTTP_HOST="unknown.example").get("/requests")
    assert answer.status_code == 400
    assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == [
        "Refused a request for a host that ALLOWED_HOSTS does not name."
    ]
    assert not [record for record in caplog.records if record.exc_info]


def test_the_process_is_alive_whatever_the_database_does():
    """No fixture lets this test near a database, so that touching one would fail."""
    answer = DocumentedClient().get("/api/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert not answer.cookies


@pytest.mark.parametrize("path", ["/api/health", "/api/health/live"])
def test_nothing_but_reading_is_answered(db, path):
    for method in ("post", "put", "patch", "delete"):
        answer = getattr(DocumentedClient(), method)(path)
        assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
    assert Client().head(path).status_code == Client().get(path).status_code
