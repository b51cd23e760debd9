"""The database accepts and never answers: pages and health say so in time, and everything goes on once it is back."""

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings
from knox.crypto import create_token_string, hash_token

from carecollective.postgres.layout import DataDirectory
from tests import databases
from tests.faults.black_hole import Proxy
from tests.faults.site import Answer, ask
from tests.postgres.support import PROJECT
from tests.sites import free_port
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ends with its parent"),
    pytest.mark.xdist_group("faults"),
    pytest.mark.slow,
]

WITHIN = 5.0
NEED_THE_DATABASE = (
    "/requests",
    "/requests?q=milk",
    "/api/help-requests",
    "/api/messaging/conversations",
    "/api/rollout/me",
)
# More than the threads that serve members, so that each of them holds a connection when it happens.
MEMBERS = 24


class Processes:
    """The site's processes on one database, each reaching it through the proxy alone."""

    def __init__(self, database: str, proxy: Proxy, folder: Path) -> None:
        self.database, self.port, self.folder = database, free_port(), folder
        self.token = create_token_string()
        self._environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.faults.proxied_settings",
            "TEST_DATABASE": database,
            "TEST_DATABASE_PORT": str(proxy.port),
            "TEST_DATA_DIR": str(settings.DATA_DIR),
            "TEST_ROLLOUT_SNAPSHOT": "thread",
            "ROLLOUT_EVENTS": "thread",
            "WEB_CONCURRENCY": "1",
        }
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        self._start(
            "web", "-m", "gunicorn", "--config", "gunicorn.conf.py", "--bind", f"127.0.0.1:{self.port}", role="web"
        )
        self._start("worker", "manage.py", "worker", role="web")
        self._start("guard", "manage.py", "guard", role="guard")
        wait_for(self.is_well, seconds=60)

    def end(self) -> None:
        for child in self.children.values():
            child.terminate()
        for child in self.children.values():
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def said(self, name: str) -> str:
        return (self.folder / name).read_text(errors="replace")

    def call(self, path: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            return ask(connection, "GET", path, token=self.token if path.startswith("/api/") else "")
        finally:
            connection.close()

    def is_well(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return bool(self.call("/api/health").body["status"] == "ok")
        return False

    def add_member(self) -> None:
        member_id = uuid4()
        with psycopg.connect(databases.superuser_url(settings.DATA_DIR, self.database)) as superuser:
            superuser.execute(
                "INSERT INTO profiles (id, name, email, verification_status) VALUES (%s, 'Ada', 'ada@example.org', 'approved')",
                [member_id],
            )
            superuser.execute(
                "INSERT INTO knox_authtoken (digest, token_key, user_id, created, expiry)"
                " VALUES (%s, %s, %s, now(), now() + interval '1 day')",
                [hash_token(self.token), self.token[:8], member_id],
            )

    def _start(self, name: str, *arguments: str, role: str) -> None:
        with (self.folder / name).open("wb") as output:
            self.children[name] = subprocess.Popen(
                [sys.executable, "-W", "ignore", *arguments],
                cwd=PROJECT,
                env=self._environment | {"DATABASE_ROLE": role},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy(DataDirectory.at(settings.DATA_DIR).sockets / ".s.PGSQL.5432")
    yield proxy
    proxy.end()


@pytest.fixture
def processes(template_database: str, proxy: Proxy, tmp_path: Path) -> Iterator[Processes]:
    name = f"test_{os.getpid()}_black_hole"
    databases.recreate(settings.DATA_DIR, name, template_database)
    processes = Processes(name, proxy, tmp_path)
    try:
        processes.add_member()
        processes.start()
        yield processes
    finally:
        processes.end()
        databases.drop(settings.DATA_DIR, name)


def test_a_database_that_never_answers_is_told_in_time_and_survived(
    processes: Processes, proxy: Proxy, figure: Callable[..., None]
) -> None:
    at_once([lambda: processes.call("/requests")] * MEMBERS)
    visits: list[Answer] = []
    over = threading.Event()
    visitor = threading.Thread(target=visit_until, args=(over, processes, visits))
    visitor.start()
    time.sleep(0.5)

    proxy.go_silent()
    answers = {path: processes.call(path) for path in (*NEED_THE_DATABASE, "/api/health", "/api/health/live")}
    crowd = at_once([lambda: processes.call("/requests")] * MEMBERS + [lambda: processes.call("/api/health")])
    over.set()
    visitor.join(30)

    # Each says so in its own log, and none has ended.
    wait_for(lambda: "lost the database" in processes.said("worker"), seconds=20)
    wait_for(lambda: "could not look" in processes.said("guard"), seconds=20)
    wait_for(lambda: "lost its connection" in processes.said("web"), seconds=20)
    assert [name for name, child in processes.children.items() if child.poll() is not None] == []

    proxy.recover()
    began = time.monotonic()
    wait_for(processes.is_well, seconds=40)
    figure("well again after", time.monotonic() - began, "s")

    assert {path: answers[path].status for path in NEED_THE_DATABASE} == dict.fromkeys(NEED_THE_DATABASE, 503)
    assert answers["/api/help-requests"].code == "database_error"
    assert (answers["/api/health"].status, answers["/api/health/live"].status) == (503, 200)
    assert {answer.status for answer in crowd} == {503}
    assert {answer.status for answer in visits} == {200, 503}
    slowest = max(answer.seconds for answer in (*answers.values(), *crowd, *visits))
    figure("the slowest answer of a site with a silent database", slowest, "s")
    took = {path: round(answer.seconds, 2) for path, answer in answers.items()}
    assert slowest < WITHIN, (
        took,
        *(sorted(round(answer.seconds, 2) for answer in some)[-8:] for some in (crowd, visits)),
    )


def at_once(calls: list[Callable[[], Answer]]) -> list[Answer]:
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda call=call: answers.append(call())) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == len(calls)
    return answers


def visit_until(over: threading.Event, processes: Processes, visits: list[Answer]) -> None:
    """Look at a page again and again, so that one look is under way when the database falls silent."""
    while not over.is_set():
        visits.append(processes.call("/requests"))
