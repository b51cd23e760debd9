"""After a rollback: no start in V2 commits once a certificate is there, or there is none."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections

import messaging_v2.services
from carecollective.accounts.models import User
from carecollective.core.database import acting_as, fetch_all
from carecollective.core.errors import DomainError, as_domain_error
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox import services as inbox
from carecollective.inbox.services import offer_help
from carecollective.messaging.errors import MessagingUnavailable
from carecollective.messaging.offers import lock_and_check_offer
from carecollective.postgres import advisory_locks
from carecollective.web.api import status_of
from rollout.dashboard.status import read_status
from rollout.errors import NothingToCertify
from rollout.models import DrainCertificate, Flag, Source
from rollout.promotion import drain
from rollout.promotion.services import roll_back
from rollout.targeting import snapshot
from rollout.targeting.cohort import decision_for
from rollout.targeting.state import MISSING, RolloutState
from rollout.versions import MessagingVersion
from tests.waiting import wait_for

OFFER = "Hello, I can bring them on Monday."
WAIT = "SELECT pg_advisory_xact_lock_shared(%s)"
WAITED_FOR = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
Connect = Callable[..., "psycopg.Connection[Any]"]


@pytest.fixture
def starting(connect_as: Connect) -> Iterator["psycopg.Connection[Any]"]:
    """A session in the middle of a start in V2."""
    session = connect_as("web", application_name="a web worker")
    session.execute(WAIT, [advisory_locks.V2_STARTS])
    yield session
    session.close()


def back() -> int:
    return roll_back(actor=None, reason="Errors", source=Source.COMMAND).flag_version


def test_a_rollback_with_nobody_on_the_way_is_certified_at_once(committed_db: None, stage: Any) -> None:
    stage("enabled")
    version = back()
    found = drain.latest_attempt()
    assert found is not None
    assert (found.flag_version, found.holders) == (version, [])
    assert found.issued_at is not None
    assert found.waited_ms < 200


def test_a_start_on_its_way_holds_the_certificate_up_until_it_ends(
    committed_db: None,
    stage: Any,
    starting: "psycopg.Connection[Any]",
    connect_as: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However slow the machine: what is tested is the order.
    monkeypatch.setattr(drain, "WAIT_MS", 30_000)
    stage("enabled")
    watching = connect_as("superuser", autocommit=True)

    def end_once_waited_for() -> Any:
        wait_for(lambda: watching.execute(WAITED_FOR, [advisory_locks.V2_STARTS]).fetchone(), seconds=20)
        ended = watching.execute("SELECT clock_timestamp()").fetchone()
        starting.rollback()
        return ended

    with ThreadPoolExecutor(1) as threads:
        ending = threads.submit(end_once_waited_for)
        back()
        (ended_at,) = ending.result()
    found = drain.latest_attempt()
    assert found is not None
    assert found.issued_at is not None
    assert found.asked_at < ended_at < found.issued_at


def test_after_a_second_the_sessions_are_named_and_nothing_is_proven(
    committed_db: None, stage: Any, starting: "psycopg.Connection[Any]"
) -> None:
    stage("enabled")
    began = time.monotonic()
    back()
    # A second of waiting, and what a busy machine takes for the rest.
    assert 1 <= time.monotonic() - began < 4
    assert Flag.objects.get().stage == "disabled"
    found = drain.latest_attempt()
    assert found is not None
    assert (found.issued_at, found.waited_ms) == (None, 1000)
    (holder,) = found.holders
    assert (holder["pid"], holder["application"]) == (starting.info.backend_pid, "a web worker")
    assert holder["since"]


def test_a_real_offer_in_the_middle_of_its_start_is_waited_for(
    committed_db: None,
    member: Callable[..., User],
    help_request: Callable[..., HelpRequest],
    stage: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    helper, request = member(), help_request()
    stage("enabled")
    inside, go_on = threading.Event(), threading.Event()

    def pause(**asked: Any) -> Any:
        checked = lock_and_check_offer(**asked)
        inside.set()
        go_on.wait(10)
        return checked

    def offer() -> str:
        try:
            return offer_help(actor=helper, help_request_id=request.pk, initial_message=OFFER).version
        finally:
            connections.close_all()

    monkeypatch.setattr(messaging_v2.services, "lock_and_check_offer", pause)
    with ThreadPoolExecutor(1) as threads:
        started = threads.submit(offer)
        assert inside.wait(5)
        version = back()
        unfinished = drain.latest_attempt()
        go_on.set()
        assert started.result() == "v2"
    assert unfinished is not None
    assert unfinished.issued_at is None
    assert drain.certify(flag_version=version).issued_at is not None


def test_a_certificate_can_be_asked_for_again(
    committed_db: None, stage: Any, starting: "psycopg.Connection[Any]"
) -> None:
    stage("enabled")
    version = back()
    with pytest.raises(CommandError, match=f"{starting.info.backend_pid}"):
        call_command("rollout", "drain")
    starting.rollback()
    assert drain.certify(flag_version=version).issued_at is not None
    found = drain.latest_attempt()
    assert found is not None
    assert found.issued_at is not None
    assert DrainCertificate.objects.count() == 3


def test_a_rollback_by_command_reports_the_switch_and_the_drain(committed_db: None, stage: Any) -> None:
    def said(*arguments: str) -> str:
        out = StringIO()
        call_command("rollout", *arguments, stdout=out)
        return out.getvalue()

    stage("enabled")
    facts = json.loads(said("rollback", "--reason", "Errors", "--json"))
    assert facts["drain"]["certified"]
    assert facts["switch"]["flag_version"] == facts["version"]
    for arguments in (("stage", "disabled", "--reason", "Again"), ("drain",)):
        assert "No start in V2 commits after" in said(*arguments)
    found = read_status().drain
    assert found is not None
    assert found.certified


def test_the_guard_may_ask_too(committed_db: None, connect_as: Connect) -> None:
    with connect_as("guard", autocommit=True) as guard:
        guard.execute("INSERT INTO rollout_drain_certificate (flag_version, waited_ms, holders) VALUES (1, 0, '[]')")
        assert guard.execute(drain.HOLDERS, [advisory_locks.V2_STARTS]).fetchall() == []


def test_nothing_is_certified_but_the_present_state_at_disabled(committed_db: None, stage: Any) -> None:
    version = back()
    stage("internal")
    for asked in (version, Flag.objects.get().version):
        with pytest.raises(NothingToCertify):
            drain.certify(flag_version=asked)
    assert DrainCertificate.objects.count() == 1


@pytest.mark.django_db
def test_inside_a_transaction_nothing_is_certified(stage: Any) -> None:
    stage("enabled")
    with pytest.raises(RuntimeError):
        drain.certify(flag_version=back())
    assert drain.latest_attempt() is None


@pytest.fixture
def decided_before(monkeypatch: pytest.MonkeyPatch, committed_db: None, stage: Any) -> Callable[[], None]:
    """Let offers decide as if the rollback had come right after their decision."""
    stage("enabled")

    def decide(member: User, known: RolloutState) -> Any:
        decision = decision_for(member, known)
        back()
        return decision

    return lambda: monkeypatch.setattr(inbox, "decision_for", decide)


def test_a_start_decided_before_a_rollback_goes_to_v1_after_it(
    decided_before: Callable[[], None], member: Callable[..., User], help_request: Callable[..., HelpRequest]
) -> None:
    helper, request = member(), help_request()
    decided_before()
    assert offer_help(actor=helper, help_request_id=request.pk, initial_message=OFFER).version == "v1"


def test_continuing_in_v2_has_to_wait_after_a_rollback(
    committed_db: None,
    member: Callable[..., User],
    help_request: Callable[..., HelpRequest],
    stage: Any,
    monkeypatch: Any,
) -> None:
    helper, request = member(), help_request()
    stage("disabled")
    legacy = offer_help(actor=helper, help_request_id=request.pk, initial_message=OFFER)
    stage("enabled")

    def decide(found: User, known: RolloutState) -> Any:
        decision = decision_for(found, known)
        assert decision.version is MessagingVersion.V2
        return decision

    def enter(*, member: User, known: RolloutState) -> Callable[[], MessagingVersion | None]:
        return lambda: MessagingVersion.V1

    monkeypatch.setattr(inbox, "decision_for", decide)
    monkeypatch.setattr(inbox, "enter_v2_start", enter)
    with pytest.raises(MessagingUnavailable):
        inbox.continue_in_v2(actor=helper, conversation_id=legacy.conversation_id, initial_message=OFFER)


@pytest.mark.django_db
def test_a_start_looks_at_the_row_and_not_at_the_processes_copy(
    member: Callable[..., User], stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = member()
    stage("disabled")
    now = snapshot.current()
    stale: RolloutState = replace(now, stage=type(now.stage).parse("enabled"))
    monkeypatch.setattr(snapshot, "current", lambda: stale)
    assert decision_for(helper).version is MessagingVersion.V2
    with acting_as(helper):
        assert drain.enter_v2_start(member=helper, known=stale)() is MessagingVersion.V1


def test_a_start_that_cannot_read_the_flag_is_refused_not_moved(
    committed_db: None,
    member: Callable[..., User],
    help_request: Callable[..., HelpRequest],
    stage: Any,
    connect_as: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    helper, request = member(), help_request()
    stage("enabled")
    state = snapshot.current()  # which a process that serves has at hand
    monkeypatch.setattr(snapshot, "current", lambda: state)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")  # as the role that serves has it
    with connect_as("superuser") as locker:
        locker.execute("LOCK TABLE rollout_flag IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(OperationalError) as failure:
            offer_help(actor=helper, help_request_id=request.pk, initial_message=OFFER)
    refusal = as_domain_error(failure.value)
    assert refusal is not None
    assert status_of(refusal) == 503


@pytest.mark.slow
def test_no_start_in_v2_commits_after_a_certificate(
    committed_db: None,
    member: Callable[..., User],
    help_request: Callable[..., HelpRequest],
    stage: Any,
    connect_as: Connect,
) -> None:
    """Offers pour in from six threads while the rollout is taken back, five times over."""
    started: list[str] = []

    def pour(stop: threading.Event, pairs: list[tuple[User, HelpRequest]]) -> None:
        try:
            while not stop.is_set() and pairs:
                helper, request = pairs.pop()
                try:
                    started.append(offer_help(actor=helper, help_request_id=request.pk, initial_message=OFFER).version)
                except DomainError as refusal:
                    started.append(refusal.code)
        finally:
            connections.close_all()

    superuser = connect_as("superuser", autocommit=True)
    helpers, requests = [member() for _ in range(12)], [help_request() for _ in range(40)]
    pairs = [(helper, request) for request in requests for helper in helpers]
    for round_ in range(5):
        stage("enabled", v1_writes=True)
        stop = threading.Event()
        with ThreadPoolExecutor(6) as threads:
            share = [pairs[round_ * 96 + number * 16 : round_ * 96 + number * 16 + 16] for number in range(6)]
            waiting = [threads.submit(pour, stop, mine) for mine in share]
            time.sleep(0.05 + round_ * 0.02)
            back()
            found = drain.latest_attempt()
            time.sleep(0.1)
            stop.set()
            for one in waiting:
                one.result()
        assert found is not None
        assert found.issued_at is not None
        late = superuser.execute("SELECT count(*) FROM conversations_v2 WHERE created_at > %s", [found.issued_at])
        assert late.fetchone() == (0,)
    assert {"v1", "v2"} <= set(started)


@pytest.mark.parametrize("problem", [OperationalError("cannot connect"), NothingToCertify()])
def test_a_rollback_stands_also_where_no_certificate_can_be_had(
    committed_db: None, stage: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    stage("percentage:10")

    def fail(**asked: Any) -> DrainCertificate:
        raise problem

    monkeypatch.setattr(drain, "certify", fail)
    change = roll_back(actor=None, reason="Errors in V2", source=Source.COMMAND)
    assert (change.to_stage, Flag.objects.get().stage) == ("disabled", "disabled")
    assert not DrainCertificate.objects.exists()


def test_an_attempt_that_the_server_breaks_off_is_no_certificate(
    committed_db: None, stage: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage("percentage:10")
    change = roll_back(actor=None, reason="Errors in V2", source=Source.COMMAND)
    issued = DrainCertificate.objects.count()

    def break_off(version: int, wait_ms: int) -> DrainCertificate:
        raise OperationalError("terminating connection")

    monkeypatch.setattr(drain, "_issue", break_off)
    with pytest.raises(OperationalError):
        drain.certify(flag_version=change.flag_version)
    assert DrainCertificate.objects.count() == issued


@pytest.mark.django_db
def test_a_start_asks_for_all_of_the_state_but_the_testers(member: Callable[..., User], stage: Any) -> None:
    stage("internal")
    now = snapshot.current()
    known = replace(
        now, stage=type(now.stage).parse("enabled"), salt="other", version=0, testers=frozenset({member().pk})
    )
    assert snapshot.state_again(fetch_all(snapshot.READ_AGAIN), known) == replace(now, testers=known.testers)
    assert snapshot.state_again([], known) == MISSING


@pytest.mark.django_db
@pytest.mark.parametrize(
    "other", [{}, {"version": 0}, {"guarded": False}, {"installed": False}, {"fresh": False}], ids=str
)
def test_a_state_that_stands_is_known_again(stage: Any, other: dict[str, Any]) -> None:
    stage("enabled")
    now = snapshot.current()
    known = replace(now, **other)
    again = snapshot.state_again(fetch_all(snapshot.READ_AGAIN), known)
    assert again == now
    assert (again is known) == (not other)
