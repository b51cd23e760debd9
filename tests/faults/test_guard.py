"""The guard is killed, doubled, crowded and unheard; somebody always watches, and no member waits for it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median_high
from uuid import uuid4

import psycopg
import pytest
from django.contrib.auth.hashers import make_password

from carecollective.postgres import advisory_locks
from rollout.alerts.channels import TIMEOUT_SECONDS
from tests.faults.scale import BACK_WITHIN, FULL, TRIES
from tests.faults.visitor import Visitor
from tests.postgres.support import PROJECT, kill
from tests.sites import Site, environment_for, processes_of
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
    pytest.mark.xdist_group("faults"),
    pytest.mark.slow,
]

ROOM = "/admin/rollout/"
HOLDERS = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {advisory_locks.GUARD} AND granted"
STAGE = "SELECT stage FROM rollout_flag WHERE name = 'messaging_v2'"


def watched_by(site: Site) -> int:
    """The process id of the guard that looked last."""
    return int(str(site.value("SELECT holder FROM rollout_guard_lease")).rpartition(":")[2])


def guards_of(site: Site) -> set[int]:
    return {pid for pid, arguments in processes_of(site.data_dir) if arguments[-1:] == ["guard"]}


@contextmanager
def everybody_in_v2(site: Site) -> Iterator[None]:
    """Begin with everybody in V2, though the guard may have turned it off for what was broken before; and end so."""
    site.put_stage("percentage:100")
    try:
        yield
    finally:
        site.put_stage("percentage:100")


@contextmanager
def held_still(pid: int) -> Iterator[None]:
    """Let a process do nothing until the block ends."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_standby_replaces_a_killed_guard_and_only_one_leads(site, seats, figure):
    wait_for(lambda: site.value(HOLDERS) == 1, seconds=15)  # the site's own, or the standby would be the first
    standby = subprocess.Popen(
        [sys.executable, "manage.py", "guard"],
        cwd=PROJECT,
        env=environment_for(site.data_dir),
        stdin=subprocess.DEVNULL,
    )
    try:
        time.sleep(4)  # it has found the lock taken and waits
        first = watched_by(site)
        assert first != standby.pid
        assert site.value(HOLDERS) == 1
        # Nobody starts the site's own again meanwhile: that would be another guard, and no standby.
        with held_still(site.process.pid):
            kill(first)
            figure("the standby watches after", wait_for(lambda: watched_by(site) == standby.pid, seconds=15), "s")
            assert site.value(HOLDERS) == 1
        wait_for(lambda: guards_of(site) - {first, standby.pid}, seconds=15)
        assert (watched_by(site), site.value(HOLDERS)) == (standby.pid, 1)
    finally:
        standby.terminate()
        standby.wait(20)
    gone = standby.pid
    took = wait_for(lambda: watched_by(site) != gone, seconds=15)
    figure("and, that one stopped, the site's own after", took, "s more")
    assert took < BACK_WITHIN
    wait_for(site.is_healthy, seconds=10)


def take_all_connections(site: Site, held: ExitStack) -> int:
    """Open connections until the web role has as many as it may, and return how many these are."""
    # The server ends a session that has not signed in after 60 s.
    taken, deadline = 0, time.monotonic() + 75
    while time.monotonic() < deadline:
        try:
            held.enter_context(site.connect("web"))
            taken += 1
        except psycopg.OperationalError as refusal:
            if "too many connections" in str(refusal):
                return taken
            # A session that begins or ends has a place of the server's and counts for no role.
            if "remaining connection slots are reserved" not in str(refusal):
                raise
            time.sleep(0.1)
    sessions = site.rows(
        "SELECT usename, usesysid, application_name, backend_type, state, count(*), min(backend_start)::text"
        " FROM pg_stat_activity GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC"
    )
    raise AssertionError(f"The web role's limit was never reached: {taken} taken, and these sessions: {sessions}.")


def test_without_web_connections_guard_and_rollback_work(site, seats, new_seat, figure):
    version = int(site.value("SELECT version FROM rollout_flag WHERE name = 'messaging_v2'"))
    with everybody_in_v2(site), ExitStack() as held:
        figure("connections taken by somebody else", take_all_connections(site, held))
        # The guard that runs is killed too: one that begins now must find its way in.
        before = watched_by(site)
        kill(before)
        answers = [site.send(new_seat, f"Crowded {n}") for n in range(5)]
        assert {answer.status for answer in answers} <= {201, 503}
        assert all(answer.code == "database_error" for answer in answers if answer.status == 503)
        figure("a new guard watches after", wait_for(lambda: watched_by(site) != before, seconds=15), "s")
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "manage.py", "rollout", "rollback", "--reason", "The connections are exhausted."],
            cwd=PROJECT, env=environment_for(site.data_dir), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        figure("rolled back by command in", time.monotonic() - began, "s")
        flag = site.rows("SELECT stage, version > %s FROM rollout_flag WHERE name = 'messaging_v2'", version)
        assert flag == [("disabled", True)]
    wait_for(lambda: site.send(new_seat, "There is room again.").status == 201, seconds=BACK_WITHIN)


def test_without_web_connections_staff_roll_back_in_the_browser(site, seats, new_seat, figure):
    email, password = f"{uuid4()}@example.org", "a-staff-member-of-the-tests"
    member_id, _token = site.add_member("Stella")
    site.rows(
        "UPDATE profiles SET email = %s, is_admin = true, is_superuser = true, password = %s WHERE id = %s",
        email, make_password(password), member_id,
    )  # fmt: skip
    staff = Visitor(site)
    assert staff.post("/admin/login/", {"username": email, "password": password}) == 200
    for number in range(40):  # a site that is in use: a thread of each worker has its connection
        assert site.send(new_seat, f"Before the crowd {number}").status == 201
    with everybody_in_v2(site), ExitStack() as held:
        take_all_connections(site, held)
        time.sleep(61 if FULL else 3)  # nothing that the site holds is given up in the meantime
        assert site.value(STAGE) == "percentage:100"
        form = {"action": "roll_back", "reason": "The connections are exhausted."}
        figure(
            "rolled back in the browser after",
            wait_for(lambda: staff.post(ROOM, form) == 200, seconds=BACK_WITHIN),
            "s",
        )
        assert site.value(STAGE) == "disabled"
    wait_for(lambda: site.send(new_seat, "There is room once more.").status == 201, seconds=BACK_WITHIN)


def test_a_web_address_that_never_answers_costs_the_members_nothing(site, seats, new_seat, black_hole, figure):
    def timed() -> list[float]:
        answers = [site.send(new_seat, f"Number {n}") for n in range(15 * TRIES)]
        assert {answer.status for answer in answers} == {201}
        return [answer.seconds for answer in answers]

    free = timed()
    before = len(black_hole.received)
    site.rows(
        "INSERT INTO rollout_alert (kind, severity, words, figures, stage, disabled_v2, opened_at)"
        " VALUES ('duplicates', 'warning', 'A trial.', '{}', 'disabled', false, clock_timestamp() - interval '3 s')"
        " ON CONFLICT DO NOTHING"
    )
    site.rows("UPDATE rollout_delivery SET next_try_at = clock_timestamp() WHERE delivered_at IS NULL")
    wait_for(lambda: len(black_hole.received) > before, seconds=15)
    # Another is due while the worker waits for that one: who delivered on the way of a request would wait as long.
    site.rows("UPDATE rollout_delivery SET next_try_at = clock_timestamp() WHERE delivered_at IS NULL")
    waiting = timed()
    assert site.value("SELECT count(*) FROM rollout_delivery WHERE delivered_at IS NOT NULL") == 0
    figure(
        "a send takes", 1000 * median_high(free),
        f"ms, with the address silent {1000 * median_high(waiting):.2f} ms (longest {1000 * max(waiting):.2f} ms)",
    )  # fmt: skip
    # Whoever waits for the address does so for five seconds: a busy machine is far from that, and no request near it.
    assert median_high(waiting) < TIMEOUT_SECONDS / 10
    assert max(waiting) < TIMEOUT_SECONDS / 2
    assert site.is_healthy()
