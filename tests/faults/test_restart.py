"""A site changes to another release while members use it."""

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from carecollective.postgres.locks import try_lock
from carecollective.serving.children import Release
from carecollective.serving.restarts import Answer, ControlFiles, RestartError
from tests.postgres.support import PROJECT
from tests.sites import Seat, Site, ask, environment_for, messages_path
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
    pytest.mark.xdist_group("faults"),
    pytest.mark.slow,
]

REQUESTS_A_SECOND, VISITORS = 20, 4
QUIET_SECONDS = 2.0
LEADERS_LIVE = """
SELECT (SELECT beat_at > clock_timestamp() - interval '5 s' FROM core_workerheartbeat)
  AND (SELECT renewed_at > %s FROM rollout_guard_lease)
"""


class Visitors:
    """So many requests a second, some on connections that stay open, and what became of them."""

    def __init__(self, site: Site, seat: Seat) -> None:
        self.site, self.seat = site, seat
        self.outcomes: list[int | str] = []
        self.seconds: list[float] = []
        self.sent = 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._visit, args=(turn,), daemon=True) for turn in range(VISITORS)]

    def _visit(self, turn: int) -> None:
        token = self.seat.token
        method, path = [
            ("GET", "/requests"), ("GET", "/api/help-requests"), ("POST", messages_path(self.seat)), ("GET", "/login"),
        ][turn]  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=30)
        due = time.monotonic() + turn / REQUESTS_A_SECOND
        while not self.stopping.wait(max(0.0, due - time.monotonic())):
            due += VISITORS / REQUESTS_A_SECOND
            body = {"content": f"Restart {self.sent}"} if method == "POST" else None
            began = time.monotonic()
            try:
                answer = ask(connection, method, path, token=token, body=body)
                self.outcomes.append(answer.status)
                self.sent += method == "POST"
            except (OSError, http.client.HTTPException) as problem:
                self.outcomes.append(f"{path}: {problem!r}")
                connection.close()
            self.seconds.append(time.monotonic() - began)
            if turn % 2:
                connection.close()
        connection.close()


@contextmanager
def visiting(site: Site, seat: Seat) -> Iterator[Visitors]:
    visitors = Visitors(site, seat)
    for thread in visitors.threads:
        thread.start()
    try:
        yield visitors
    finally:
        visitors.stopping.set()
        for thread in visitors.threads:
            thread.join(60)


def processes(site: Site) -> dict[str, int | None]:
    return {"web": site.gunicorn(), "worker": site.helper("worker"), "guard": site.helper("guard")}


@pytest.fixture
def control(site: Site) -> ControlFiles:
    return ControlFiles(site.data_dir / "serve.lock")


def test_members_notice_nothing_of_a_restart(site, new_seat, figure):
    before, kept = processes(site), "SELECT count(*) FROM messages_v2 WHERE content LIKE 'Restart %%'"
    with visiting(site, new_seat) as visitors:
        time.sleep(QUIET_SECONDS)
        usual, began = max(visitors.seconds), time.monotonic()
        said = subprocess.run(
            [sys.executable, "manage.py", "restart"],
            cwd=PROJECT, env=environment_for(site.data_dir), capture_output=True, text=True, check=False,
        )  # fmt: skip
        took = time.monotonic() - began
        assert said.returncode == 0, said
        assert f"serves at http://127.0.0.1:{site.port}" in said.stdout
        wait_for(
            lambda: not {*before.values()} & {site.gunicorn(), site.helper("worker"), site.helper("guard")}, seconds=30
        )
    changed_at = site.value("SELECT clock_timestamp()")
    wait_for(lambda: site.value(LEADERS_LIVE, changed_at) is True, seconds=30)
    failed = [outcome for outcome in visitors.outcomes if outcome not in (200, 201)]
    figure("requests through the restart", f"{len(visitors.outcomes)}, {len(failed)} of them failed")
    figure("longest answer", max(visitors.seconds), f"s ({usual:.2f} s before)")
    figure("until the new release served", took, "s")
    assert failed == []
    assert site.value(kept) == visitors.sent
    # What a busy machine takes anyway is not the restart's.
    assert max(visitors.seconds) <= 2 + 3 * usual


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("raise SystemExit('This release wants a newer Python.')", r"This release wants a newer Python\."),
        ("", r"its web server ended with code \d+; the site's log says why\."),
    ],
    ids=["not prepared", "no web server"],
)
def test_a_release_that_does_not_start_leaves_the_old_one(site, control, tmp_path, program, sentence):
    before = processes(site)
    (tmp_path / "manage.py").write_text(program)
    with pytest.raises(
        RestartError, match=rf"^The new release does not start, the old one goes on serving: {sentence}$"
    ):
        control.ask(Release(tmp_path, sys.executable), say=print)
    assert processes(site) == before
    assert site.is_healthy()


def test_one_restart_at_a_time(site, control):
    control.answer(Answer.TAKEN, "One that nobody waits for is going on.")
    with pytest.raises(RestartError, match="under way already"):
        control.ask(Release.own(), say=print)
    control.clear()
    descriptor = try_lock(site.data_dir / "serve.restarting")
    assert descriptor is not None
    with pytest.raises(RestartError, match="under way already"):
        control.ask(Release.own(), say=print)
    os.close(descriptor)


def test_without_a_site_there_is_nothing_to_restart(tmp_path):
    with pytest.raises(RestartError, match=r"^No site runs on .*: start it with `make run`\.$"):
        ControlFiles(tmp_path / "serve.lock").ask(Release(PROJECT, sys.executable), say=print)
