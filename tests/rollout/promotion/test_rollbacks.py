"""Whatever other sessions hold: V2 is off within three seconds, and what is left to do finishes by itself.

Turning off is measured by what decides: the state that a start reads in its own transaction, and a real start.
"""

import html
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.services import offer_help
from carecollective.postgres import advisory_locks
from rollout.alerts.evidence import Finding
from rollout.alerts.rules import RULES
from rollout.dashboard.status import read_status
from rollout.guard import runner
from rollout.management.commands.rollout import status_lines
from rollout.models import Change, DrainCertificate, Rollback, RootCause, Source
from rollout.promotion import audit_log, drain, rollbacks
from rollout.promotion.services import roll_back
from rollout.promotion.sign_offs import sign
from rollout.stages import DISABLED
from rollout.targeting import snapshot
from rollout.targeting.cohort import v1_writes_are_on
from tests.faults.scale import FULL
from tests.roles import as_role
from tests.waiting import wait_for

Connect = Callable[..., "psycopg.Connection[Any]"]
Stage = Callable[..., None]
SignedIn = Callable[..., Client]

PROMISED_SECONDS = 3.0
OFFER = "Hello, I can bring them on Monday."
ROW_OF_THE_FLAG = "SELECT FROM rollout_flag WHERE name = 'messaging_v2' FOR {} NOWAIT"
LOCK = "SELECT pg_advisory_xact_lock(%s)"
NO_LIMITS = "SET lock_timeout = 0; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"
REASON = "Offers fail"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker finish what is a moment old: nobody else is at it here."""
    monkeypatch.setattr(rollbacks, "LEAVE_ALONE", timedelta(0))


@pytest.fixture
def block(connect_as: Connect) -> Callable[..., list["psycopg.Connection[Any]"]]:
    """Hold what a rollback would need, in sessions of the web role that lifted their own limits."""

    def hold(what: str, sessions: int = 1) -> list["psycopg.Connection[Any]"]:
        held = []
        # Many hold one row between them by a shared lock; one alone holds it by the strongest.
        strength = "UPDATE" if sessions == 1 else "SHARE"
        for number in range(sessions):
            session = connect_as("web", application_name=f"blocker {number}")
            session.execute(NO_LIMITS)
            session.commit()
            if "row" in what:
                session.execute(ROW_OF_THE_FLAG.format(strength).encode())
            if "drain" in what and number == 0:
                session.execute(LOCK, [advisory_locks.V2_STARTS])
            if "record" in what and number == 0:
                session.execute(LOCK, [advisory_locks.AUDIT_LOG])
            held.append(session)
        return held

    return hold


class Watch(threading.Thread):
    """Reads the state as a start does, all the while, and notes when it first was off with V1 writes on."""

    def __init__(self) -> None:
        super().__init__()
        self.began = time.monotonic()
        self.off_at: float | None = None
        self.stopping = threading.Event()

    def run(self) -> None:
        try:
            while not self.stopping.is_set() and self.off_at is None:
                state = snapshot.read_now()
                if state.stage == DISABLED and state.v1_writes:
                    self.off_at = time.monotonic()
                time.sleep(0.01)
        finally:
            connections.close_all()

    @property
    def took(self) -> float:
        wait_for(lambda: self.off_at, seconds=10)
        assert self.off_at is not None
        return self.off_at - self.began


@pytest.fixture
def watch() -> Iterator[Callable[[], Watch]]:
    watches: list[Watch] = []

    def begin() -> Watch:
        watches.append(Watch())
        watches[-1].start()
        return watches[-1]

    yield begin
    for one in watches:
        one.stopping.set()
        one.join()


@pytest.fixture
def staff_member(staff: Callable[..., User]) -> Callable[[], User]:
    return lambda: staff(name="Stella")


def by_command(client: Client) -> str:
    out = StringIO()
    with as_role("guard"):  # as manage.py has it
        call_command("rollout", "rollback", "--reason", REASON, stdout=out)
    return out.getvalue()


def by_page(client: Client) -> str:
    answer = client.post("/admin/rollout/", {"action": "roll_back", "reason": REASON}, follow=True)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def by_guard(client: Client) -> str:
    rule = next(rule for rule in RULES if rule.disables_v2)
    with as_role("guard"):
        runner.disable(Finding(rule=rule, words=REASON, figures={}))
    return ""


WAYS = {"command": by_command, "page": by_page, "guard": by_guard}
SOURCES = {"command": "command", "page": "admin", "guard": "guard"}


HELD = (("row", 1), ("row", 8), ("row", 50), ("drain", 1), ("record", 1), ("row and drain", 8))


@pytest.mark.parametrize(
    ("what", "sessions", "way"),
    # Each lock once and each way twice; with `make faults` each lock in each way.
    [(*held, way) for turn, held in enumerate(HELD) for way in (WAYS if FULL else [[*WAYS][turn % len(WAYS)]])],
)
def test_v2_is_off_within_three_seconds_whoever_holds_what(
    committed_db: None,
    staff_member: Callable[[], User],
    signed_in: SignedIn,
    member: Callable[..., User],
    help_request: Callable[..., HelpRequest],
    stage: Stage,
    block: Callable[..., Any],
    watch: Callable[[], Watch],
    figure: Any,
    what: str,
    sessions: int,
    way: str,
) -> None:
    client, helper, request = signed_in(staff_member()), member(), help_request()
    stage("enabled")
    held = block(what, sessions)
    changes = Change.objects.count()
    watching = watch()
    said = WAYS[way](client)
    figure(f"off by {way}, {sessions} × {what}", watching.took, "s")
    assert watching.took < PROMISED_SECONDS
    assert v1_writes_are_on()
    assert offer_help(actor=helper, help_request_id=request.pk, initial_message=OFFER).version == "v1"

    is_recorded = what == "drain"
    assert Change.objects.count() == changes + is_recorded
    if not is_recorded and way != "guard":
        assert f"{held[0].info.backend_pid} (role carecollective_web, application blocker 0" in said
        assert "recorded by itself once that ends" in said
    for session in held:
        session.rollback()
    let_it_finish()
    assert Change.objects.count() == changes + 1
    change = Change.objects.latest("pk")
    assert (change.from_stage, change.to_stage, change.to_v1_writes) == ("enabled", "disabled", True)
    assert (change.source, change.reason.split(" Turned")[0], change.override) == (SOURCES[way], REASON, False)
    assert RootCause.objects.filter(change_id=change.pk).count() == 1
    assert audit_log.verify().problems == ()
    assert rollbacks.describe_unfinished() == ""


def let_it_finish() -> None:
    """Let the worker do its task until all is recorded and certified."""
    wait_for(lambda: rollbacks.finish() is not None and is_finished(), seconds=15)


def is_finished() -> bool:
    attempt = drain.latest_attempt()
    return (
        not Rollback.objects.filter(change_id=None).exists() and attempt is not None and attempt.issued_at is not None
    )


def test_the_answer_in_json_says_that_it_is_off_and_not_recorded(
    committed_db: None, stage: Stage, block: Callable[..., Any]
) -> None:
    stage("percentage:10")
    (blocker,) = block("row")
    facts = ask("rollback", "--reason", REASON)
    assert (facts["recorded"], facts["to_stage"], facts["to_v1_writes"]) == (False, "disabled", True)
    assert str(blocker.info.backend_pid) in facts["unfinished"]
    status = ask("status")
    assert (status["stage"], status["v1_writes"], status["since"]) == ("disabled", True, facts["at"])
    assert str(blocker.info.backend_pid) in status["unfinished"]
    assert any(line.startswith("Rollback: V2 is off") for line in status_lines(read_status()))
    blocker.rollback()
    let_it_finish()
    assert ask("status")["unfinished"] == ""


def test_the_rollback_that_waits_is_the_last_change(
    committed_db: None, stage: Stage, block: Callable[..., Any], member: Callable[..., User],
    help_request: Callable[..., HelpRequest], staff_member: Callable[[], User], signed_in: SignedIn,
) -> None:  # fmt: skip
    stage("percentage:10")
    sign(actor=staff_member(), item="unit_tests")
    (blocker,) = block("row")
    roll_back(actor=None, reason=REASON, source=Source.GUARD, actor_label="The guard")
    offer_help(actor=member(), help_request_id=help_request().pk, initial_message=OFFER)
    status = read_status()
    change, served = status.overview.last_change, status.overview.v1_since_rollback
    assert change is not None
    assert (change.from_stage, change.to_stage, change.at) == ("percentage:10", "disabled", status.since)
    assert (change.who, change.words, change.badges) == ("The guard", REASON, ("guard", "waiting"))
    assert status.timeline.count(change) == 1
    assert served is not None
    assert (served.since, served.words) == (change.at, "Members are served by V1: 1 of 1 since the rollback.")
    assert next(item for item in status.checklist if item.name == "unit_tests").state == "insufficient"
    shown = signed_in(staff_member()).get("/admin/rollout/").content.decode()
    assert "<strong>10% → Disabled</strong>" in shown
    assert "Not recorded yet" in shown

    roll_back(actor=None, reason="Once more", source=Source.COMMAND, actor_label="root")
    again = read_status()
    assert again.overview.last_change is not None
    assert (again.overview.last_change.title, again.overview.last_change.words) == (
        "The flag was written again at disabled", "Once more",
    )  # fmt: skip
    assert again.overview.v1_since_rollback == served
    blocker.rollback()
    let_it_finish()
    recorded = read_status().overview.last_change
    assert recorded is not None
    assert (recorded.words, "waiting" in recorded.badges) == ("Once more", False)


def ask(*arguments: str) -> Any:
    out = StringIO()
    call_command("rollout", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_drain_is_certified_although_the_row_is_held(
    committed_db: None, stage: Stage, block: Callable[..., Any]
) -> None:
    stage("percentage:10")
    (blocker,) = block("row")
    change = roll_back(actor=None, reason=REASON, source=Source.COMMAND)
    attempt = drain.latest_attempt()
    assert attempt is not None
    assert attempt.issued_at is not None
    blocker.rollback()
    assert rollbacks.finish() == 1
    assert drain.latest_attempt() == attempt
    assert Change.objects.latest("pk").flag_version == change.flag_version


def test_a_delayed_certificate_is_issued_later_by_itself(
    committed_db: None, stage: Stage, block: Callable[..., Any]
) -> None:
    stage("percentage:10")
    (blocker,) = block("drain")
    assert roll_back(actor=None, reason=REASON, source=Source.COMMAND).is_recorded
    rollbacks.finish()
    assert DrainCertificate.objects.filter(issued_at=None).count() == DrainCertificate.objects.count() == 1
    blocker.rollback()
    let_it_finish()
    rollbacks.finish()
    assert DrainCertificate.objects.exclude(issued_at=None).count() == 1


def test_a_blocker_between_the_two_steps_changes_nothing(
    committed_db: None, stage: Stage, block: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage("enabled")
    blockers, settle = [], rollbacks.settle

    def arrive() -> None:
        blockers.extend(block("row"))
        settle()

    with monkeypatch.context() as patch:
        patch.setattr(rollbacks, "settle", arrive)
        assert not roll_back(actor=None, reason=REASON, source=Source.COMMAND).is_recorded
    assert snapshot.read_now().stage == DISABLED
    blockers[0].rollback()
    let_it_finish()
    assert Change.objects.filter(reason=REASON).count() == 1


def test_blocked_rollbacks_are_each_recorded_once_and_in_order(
    committed_db: None, stage: Stage, block: Callable[..., Any]
) -> None:
    stage("percentage:10")
    (blocker,) = block("row")
    before = snapshot.read_now().version
    for number in range(3):
        change = roll_back(actor=None, reason=f"Number {number}", source=Source.COMMAND)
        assert change.flag_version == before + number + 1
    blocker.rollback()

    def finish() -> int:
        try:
            return rollbacks.finish()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        for one in [threads.submit(finish) for _ in range(4)]:
            one.result()
    recorded = Change.objects.filter(reason__startswith="Number").order_by("pk")
    assert [(one.reason, one.from_stage) for one in recorded] == [
        *[("Number 0", "percentage:10"), ("Number 1", "disabled"), ("Number 2", "disabled")]
    ]
    assert snapshot.read_now().version == before + 3
    assert RootCause.objects.filter(change_id__in=recorded.values("pk")).count() == 1
    assert audit_log.verify().problems == ()


def test_the_record_names_who_rolled_back_not_who_carried_it_over(
    committed_db: None, stage: Stage, block: Callable[..., Any], staff_member: Callable[[], User]
) -> None:
    stella = staff_member()
    stage("percentage:10")
    (blocker,) = block("row")
    roll_back(actor=stella, reason=REASON, source=Source.ADMIN)
    blocker.rollback()
    with as_role("guard"), recorded_as_somebody_else():
        rollbacks.finish()
    change = Change.objects.latest("pk")
    assert (change.actor_id, change.actor_label, change.source, change.reason) == (stella.pk, "Stella", "admin", REASON)
    # Its words are in the record now, and stand nowhere twice: who leaves is taken out of one place.
    settled = Rollback.objects.latest("pk")
    assert (settled.change_id, settled.actor_id, settled.actor_label, settled.reason) == (change.pk, None, "", "")


@contextmanager
def recorded_as_somebody_else() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('rollout.actor_label', 'Mallory', false)")
        try:
            yield
        finally:
            cursor.execute("SELECT set_config('rollout.actor_label', '', false)")


def test_a_fresh_rollback_is_left_to_the_process_that_made_it(
    committed_db: None, stage: Stage, block: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollbacks, "LEAVE_ALONE", timedelta(seconds=30))
    stage("percentage:10")
    (blocker,) = block("row")
    roll_back(actor=None, reason=REASON, source=Source.COMMAND)
    blocker.rollback()
    assert rollbacks.finish() == 0
    assert Rollback.objects.filter(change_id=None).exists()
