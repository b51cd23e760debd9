"""The database accepts and never answers: pages and health say so in time, and everything goes on once it is back."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from carecollective.postgres.embedded.layout import DataDirectory
from tests import databases
from tests.faults.black_hole import Proxy
from tests.faults.processes import Processes
from tests.sites import Answer
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


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy(DataDirectory(settings.DATA_DIR).sockets / ".s.PGSQL.5432")
    yield proxy
    proxy.end()


@pytest.fixture
def processes(template_database: str, proxy: Proxy, tmp_path: Path) -> Iterator[Processes]:
    name = f"test_{os.getpid()}_black_hole"
    databases.recreate(settings.DATA_DIR, name, template_database)
    processes = Processes(
        name, tmp_path, settings_module="tests.faults.proxied_settings", TEST_DATABASE_PORT=str(proxy.port)
    )
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
