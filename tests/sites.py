"""Sites that tests start by the real command, each with a DATA_DIR and a port of its own."""

import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from knox.crypto import create_token_string, hash_token

from carecollective.postgres.dsn import connection_url
from tests.postgres.support import PROJECT, is_running, recorded_pid
from tests.waiting import wait_for

CopyFirstRun = Callable[[Path], Path]

# What the run of the tests has set for itself is not for the site.
OURS = {
    *("ALLOWED_HOSTS", "DATABASE_DIRECT_URL", "DATABASE_ROLE", "DATABASE_URL", "DATA_DIR", "DEBUG"),
    *("DJANGO_SECRET_KEY", "DJANGO_SETTINGS_MODULE", "MESSAGING_V2_ROLLOUT", "PORT", "WEB_CONCURRENCY"),
}
# The tests' own settings and limits are not the site's.
UNLIMITED = {
    "CONVERSATIONS_PER_HOUR": "100000",
    "MESSAGES_PER_MINUTE": "100000",
    "SLACK_WEBHOOK_URL": "",
    "ALERT_WEBHOOK_URL": "",
    "ALERT_EMAILS": "",
    "SENTRY_DSN": "",
}
FORGET_FAILURES = """
DELETE FROM application_logs;
UPDATE rollout_alert SET opened_at = opened_at - interval '1 hour', last_seen_at = last_seen_at - interval '1 hour',
    resolved_at = coalesce(resolved_at, clock_timestamp()) - interval '1 hour';
"""
WHO_DOES_NOT_KNOW = """
SELECT count(*) FROM rollout_process AS process JOIN rollout_flag AS flag ON flag.name = 'messaging_v2'
WHERE process.flag_version < flag.version
"""
OFFER = "Hello, I could bring them round on Monday."


@dataclass(frozen=True, slots=True)
class Seat:
    """One member's side of one conversation, with the token to speak from it."""

    member_id: UUID
    token: str
    conversation_id: UUID
    version: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any
    seconds: float

    @property
    def code(self) -> str | None:
        return self.body["error"]["code"] if isinstance(self.body, dict) and "error" in self.body else None


class Site:
    """A running site. It has a worker process for requests, unless WEB_CONCURRENCY says more, and no limits."""

    def __init__(self, data_dir: Path, *, port: int | None = None, **environment: str) -> None:
        self.data_dir, self.port, self.said = data_dir, port or free_port(), ""
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=PROJECT,
            env=environment_for(data_dir, PORT=str(self.port), **(UNLIMITED | environment)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, name="the site's output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.said += line

    def wait_until_up(self) -> str:
        """Wait for the address on the terminal, and return what stands there."""
        wait_for(lambda: " is at http" in self.said or not self._reader.is_alive(), seconds=180)
        assert " is at http" in self.said, self.said
        return self.said

    def wait_until_watched(self) -> None:
        """Wait for the guard's first look, too: until then V2 is off."""
        self.wait_until_up()
        wait_for(lambda: self.guard_watched_at() is not None, seconds=20)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.finish()

    def finish(self) -> int:
        """Wait until the site and all of its children have ended; return its exit status."""
        # Its output ends when its last writer does.
        self._reader.join(60)
        assert not self._reader.is_alive(), self.said
        return self.process.wait(60)

    def abandon(self) -> None:
        """End the site, whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
        self.finish()

    # Talking to it

    def call(self, method: str, path: str, *, token: str = "", body: Any = None, timeout: float = 20.0) -> Answer:
        """Make one call on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            return ask(connection, method, path, token=token, body=body)
        finally:
            connection.close()

    def send(self, seat: Seat, content: str, *, message_id: UUID | None = None, timeout: float = 20.0) -> Answer:
        body = {"content": content} | ({"id": str(message_id)} if message_id else {})
        return self.call("POST", messages_path(seat), token=seat.token, body=body, timeout=timeout)

    # Its database

    def connect(self, role: str = "superuser", **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(connection_url(self.data_dir, role), autocommit=True, **options)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, *values: Any) -> Any:
        return self.rows(statement, *values)[0][0]

    def guard_watched_at(self) -> Any:
        try:
            found = self.rows("SELECT renewed_at FROM rollout_guard_lease")
        except psycopg.Error:
            return None
        return found[0][0] if found else None

    def put_stage(self, name: str) -> None:
        """Begin a stage beneath the services, with no failure on record: the guard counts what earlier tests broke."""
        time.sleep(0.5)  # the last events are on their way to their table
        # What an earlier test broke may have made the guard roll back: a stage changes once that is carried over.
        wait_for(lambda: not self.value("SELECT count(*) FROM rollout_rollback WHERE change_id IS NULL"), seconds=30)
        self.rows(FORGET_FAILURES)
        for stage in ("disabled", name):
            self.rows("UPDATE rollout_flag SET stage = %s, v1_writes = true WHERE name = 'messaging_v2'", stage)
        # Each process that serves says that it knows, but one that was killed: by then everybody has asked.
        with suppress(AssertionError):
            wait_for(lambda: not self.value(WHO_DOES_NOT_KNOW), seconds=1.2)

    @contextmanager
    def holding(self, statement: str, *values: Any) -> Iterator[psycopg.Connection[Any]]:
        """Run a statement and keep its transaction, and so its locks, until the block ends."""
        with psycopg.connect(connection_url(self.data_dir, "superuser")) as connection:
            connection.execute(statement.encode(), values)
            yield connection
            connection.rollback()

    # Its processes

    def children(self, pid: int) -> list[int]:
        try:
            return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except OSError:
            return []

    def gunicorn(self) -> int:
        found = [
            pid for pid, arguments in processes_of(self.data_dir)
            if "gunicorn" in arguments and pid in self.children(self.process.pid)
        ]  # fmt: skip
        return found[0]

    def workers(self) -> list[int]:
        return self.children(self.gunicorn())

    def helper(self, name: str) -> int | None:
        return next((pid for pid, arguments in processes_of(self.data_dir) if arguments[-1:] == [name]), None)

    def postmaster(self) -> int | None:
        return recorded_pid(self.data_dir)

    def backends(self) -> list[int]:
        """The sessions of the web role, each a process of the server's."""
        return [
            pid
            for (pid,) in self.rows(
                "SELECT pid FROM pg_stat_activity WHERE usename = 'carecollective_web' AND backend_type = 'client backend'"
            )
        ]

    def health(self) -> int | None:
        """Return the status of the health check; None where nobody answers."""
        try:
            return self.call("GET", "/api/health", timeout=5).status
        except (OSError, http.client.HTTPException):
            return None

    def is_healthy(self) -> bool:
        try:
            return bool(self.call("GET", "/api/health", timeout=5).body["status"] == "ok")
        except (OSError, http.client.HTTPException):
            return False

    # Who talks

    def add_member(self, name: str) -> tuple[UUID, str]:
        """Add an approved member with a token."""
        return insert_member(self.rows, name)

    def add_request(self, owner_id: UUID) -> UUID:
        return UUID(
            str(
                self.value(
                    "INSERT INTO help_requests (user_id, title, category, urgency, status)"
                    " VALUES (%s, 'A hand', 'other', 'normal', 'open') RETURNING id",
                    owner_id,
                )
            )
        )

    def add_conversation(self, version: str) -> tuple[Seat, Seat]:
        """Start a conversation in a version through the API; return the helper's side and the requester's."""
        owner_id, owner_token = self.add_member("Olga")
        helper_id, helper_token = self.add_member("Henry")
        path = f"/api/messaging/help-requests/{self.add_request(owner_id)}/start-conversation"
        answer = self.call("POST", path, token=helper_token, body={"initial_message": OFFER})
        assert (answer.status, answer.body.get("version")) == (201, version), answer
        key = UUID(answer.body["conversation_id"])
        return Seat(helper_id, helper_token, key, version), Seat(owner_id, owner_token, key, version)


def insert_member(run: Callable[..., object], name: str) -> tuple[UUID, str]:
    """Insert an approved member with a token; `run` takes a statement and its values, as the superuser."""
    member_id, token = uuid4(), create_token_string()
    run(
        "INSERT INTO profiles (id, name, email, verification_status) VALUES (%s, %s, %s, 'approved')",
        member_id, name, f"{member_id}@example.org",
    )  # fmt: skip
    run(
        "INSERT INTO knox_authtoken (digest, token_key, user_id, created, expiry)"
        " VALUES (%s, %s, %s, now(), now() + interval '1 day')",
        hash_token(token), token[:8], member_id,
    )  # fmt: skip
    return member_id, token


def messages_path(seat: Seat) -> str:
    return f"/api/messaging/conversations/{seat.conversation_id}/messages"


def ask(connection: http.client.HTTPConnection, method: str, path: str, *, token: str = "", body: Any = None) -> Answer:
    """Make a call and read all of its answer. Raises OSError or HTTPException when there is none."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Token {token}"} if token else {})
    began = time.monotonic()
    connection.request(method, path, body=json.dumps(body) if body is not None else None, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    seconds = time.monotonic() - began
    is_json = "json" in (answer.getheader("Content-Type") or "")
    parsed = json.loads(content) if content and is_json else content
    return Answer(answer.status, dict(answer.getheaders()), parsed, seconds)


@pytest.fixture(scope="session")
def copy_first_run(tmp_path_factory: pytest.TempPathFactory) -> CopyFirstRun:
    """Put a DATA_DIR at the given place as the first `make run` leaves it.

    That first run is made once in a run of the tests, by the worker that needs it first: it takes three times as long
    as a copy and a second start.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    data_dir, done = shared / "first-run", shared / "first-run-done"

    def copy(to: Path) -> Path:
        with (shared / "first-run-lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(data_dir, ignore_errors=True)
                run_for_the_first_time(data_dir)
                done.touch()
        to.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-Rp", str(data_dir), str(to)], check=True)
        return to

    return copy


def run_for_the_first_time(data_dir: Path) -> None:
    site = Site(data_dir)
    try:
        site.wait_until_up()
        assert site.end() == 0, site.said
        assert "amina@example.org" in site.said
    finally:
        site.abandon()


def environment_for(data_dir: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return {**kept, "DATA_DIR": str(data_dir), "WEB_CONCURRENCY": "1", **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def nothing_runs(data_dir: Path) -> bool:
    # Both are asked: a dying process gives back its environment, by which we find it, before its files and their locks.
    return not processes_of(data_dir) and not is_running(data_dir)


def processes_of(data_dir: Path) -> list[tuple[int, list[str]]]:
    """Find every living process with this DATA_DIR in its environment or its arguments."""
    found = []
    wanted = os.fsencode(data_dir)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if int(folder.name) != os.getpid() and (b"DATA_DIR=" + wanted in environment or wanted in arguments):
            found.append((int(folder.name), [part for part in os.fsdecode(arguments).split("\0") if part]))
    return found
