from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone

from carecollective.accounts.models import User
from rollout.gates.criteria import evaluate_gates
from rollout.gates.observations import collect_observation, read_detector
from rollout.gates.results import CheckState
from rollout.gates.sequential import detect
from rollout.gates.stays import read_stays
from rollout.models import Flag, Proposal
from rollout.promotion import readiness
from rollout.stages import Stage
from rollout.targeting.cohort import bucket
from rollout.telemetry.metrics import Outcomes, Proportion
from tests.roles import as_role

pytestmark = pytest.mark.django_db
TEN, FIFTY = Stage.parse("percentage:10"), Stage.parse("percentage:50")
START, SEND = "startHelpConversation", "sendMessage"
COLUMNS = """
key, timestamp, service, method, event, log_level, error_code, version, stage, duration_ms, request_id, user_id,
connection_error
"""


@pytest.fixture
def happened(beyond_policies: Callable[..., Any]) -> Callable[..., None]:
    """Put operations on record: `happened(40, code="database_error", ago=timedelta(hours=2))`."""

    def put(
        times: int = 1, *, method: str = START, version: str | None = "v2", code: str | None = None, own: bool = False,
        ago: timedelta = timedelta(minutes=1), ms: float = 30.0, user: UUID | None = None,
    ) -> None:  # fmt: skip
        level = "info" if code is None else "warn" if own else "error"
        event = "success" if code is None else "error"
        with beyond_policies() as cursor:
            for _ in range(times):
                cursor.execute(
                    f"INSERT INTO application_logs ({COLUMNS})"
                    " VALUES (%s, clock_timestamp() - %s, 's', %s, %s, %s, %s, %s, 'internal', %s, '', %s, false)",
                    [uuid4(), ago, method, event, level, code, version, ms, user],
                )

    return put


@pytest.fixture
def began(stage: Callable[..., None], beyond_policies: Callable[..., Any]) -> Callable[..., None]:
    """Put the rollout in a stage as if that had happened some time ago: `began("internal", days=4)`."""

    def put(name: str, **ago: float) -> None:
        stage(name)
        with beyond_policies() as cursor:
            # The record refuses to be rewritten; a test may not be refused.
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(
                "UPDATE rollout_change SET at = clock_timestamp() - %s WHERE id = (SELECT max(id) FROM rollout_change)",
                [timedelta(**ago)],
            )
            cursor.execute("SET LOCAL session_replication_role = origin")

    return put


@pytest.fixture(autouse=True)
def at_the_beginning(began: Callable[..., None]) -> None:
    began("disabled", days=100)


def observe() -> Any:
    return collect_observation()


def test_only_what_came_since_the_stage_began_is_counted(began, happened):
    began("internal", days=2)
    happened(5, ago=timedelta(days=3))
    happened(3, ago=timedelta(hours=30))
    happened(2)
    seen = observe()
    assert seen.starts.succeeded == 5
    assert seen.starts_today == 2
    assert seen.traffic_seconds == 86_400
    assert seen.now - seen.since == pytest.approx(timedelta(days=2), abs=timedelta(minutes=1))


def test_failures_refusals_sends_and_v1_are_kept_apart(began, happened):
    began("internal", days=2)
    happened(6)
    happened(2, code="database_error")
    happened(4, code="conversation_exists", own=True)
    happened(10, method=SEND)
    happened(1, method=SEND, code="internal_server_error")
    happened(7, version="v1")
    happened(1, version=None, code="database_error")
    seen = observe()
    assert seen.starts == Outcomes(6, 2, 4)
    assert seen.operations == Outcomes(16, 3, 4)
    assert seen.v1_creations == Proportion(7, 13)


def test_messages_are_timed_but_refusals_are_not(began, happened):
    began("internal", days=2)
    happened(19, method=SEND, ms=100)
    happened(1, method=SEND, ms=500)
    happened(30, method=SEND, ms=1, code="validation_error", own=True)
    happened(30, method=START, ms=900)
    seen = observe().sends
    assert (seen.calls, seen.within) == (20, 19)
    assert seen.p95_ms == pytest.approx(120.0)


def test_freezing_v1_begins_no_new_stage(began, happened, stage):
    began("internal", days=2)
    stage("internal", v1_writes=False)
    happened(3, ago=timedelta(days=1))
    assert observe().starts.succeeded == 3
    assert [str(stay.stage) for stay in read_stays()][:2] == ["internal", "disabled"]


def test_the_stage_before_is_the_last_lower_one_that_says_enough(began, happened):
    began("internal", days=20)
    happened(59, method=SEND, ms=80, ago=timedelta(days=19))
    began("percentage:10", days=15)
    happened(10, method=SEND, ms=40, ago=timedelta(days=14))
    began("disabled", days=12)
    happened(100, method=SEND, ms=10, ago=timedelta(days=11))
    began("percentage:50", days=8)
    happened(60, method=SEND, ms=80)
    happened(5, method=SEND, ms=81)
    baseline = observe().baseline
    assert str(baseline.stage) == "internal"
    assert (baseline.calls, baseline.p95_ms, baseline.limit_ms) == (59, 80, 80)
    assert (baseline.within, baseline.trials) == (60, 65)


def test_a_stage_before_that_says_little_is_named_all_the_same(began, happened):
    began("internal", days=20)
    happened(3, method=SEND, ago=timedelta(days=19))
    began("percentage:10", days=5)
    baseline = observe().baseline
    assert (str(baseline.stage), baseline.calls, baseline.limit_ms) == ("internal", 3, None)


def test_the_stage_before_is_known_after_its_events_are_deleted(began, happened, beyond_policies):
    began("percentage:10", days=45)
    happened(70, method=SEND, ms=80, ago=timedelta(days=44))
    seen = readiness.judge(stage=TEN, target=FIFTY).evidence()["sends"]
    assert seen == {"calls": 70, "p95_ms": 80.0, "p95_at_most_ms": 80.0}
    began("percentage:50", days=40)
    Proposal.objects.create(
        from_stage=str(TEN), to_stage=str(FIFTY), from_version=1, reason="", proposer_id=uuid4(), proposer_label="Ben",
        state="approved", decided_by_id=uuid4(), decided_by_label="Amina", evidence={"sends": seen},
        decided_at=timezone.now() - timedelta(days=40, seconds=1),
    )  # fmt: skip
    happened(60, method=SEND, ms=80)
    happened(5, method=SEND, ms=81)
    before = observe().baseline
    with beyond_policies() as cursor:
        cursor.execute("DELETE FROM application_logs WHERE timestamp < clock_timestamp() - interval '30 days'")
    assert observe().baseline == before
    assert (before.calls, before.limit_ms, before.within, before.trials) == (70, 80, 60, 65)


def test_v1_may_finish_what_it_began_before_the_stage(began, happened):
    began("enabled", days=1)
    happened(1, version="v1", ago=timedelta(days=1) - timedelta(seconds=30))
    happened(4)
    assert observe().v1_creations == Proportion(0, 4)
    happened(1, version="v1", ago=timedelta(hours=3))
    assert observe().v1_creations.numerator == 1


def members_by_side(make: Callable[..., User], permille: int) -> tuple[list[User], list[User]]:
    salt = Flag.objects.get(name="messaging_v2").salt
    inside: list[User] = []
    outside: list[User] = []
    while min(len(inside), len(outside)) < 3:
        member = make()
        side = inside if bucket(member_id=member.pk, salt=salt) < permille * 100 else outside
        side.append(member)
    return inside, outside


def test_members_are_placed_by_their_bucket_and_staff_are_left_out(began, happened, member, staff):
    began("percentage:50", days=2)
    inside, outside = members_by_side(member, 500)
    happened(2, user=inside[0].pk)
    happened(1, user=inside[1].pk, version="v1", ago=timedelta(days=1, hours=1))
    happened(1, user=outside[0].pk, version="v1")
    happened(1, user=outside[1].pk)
    happened(1, user=outside[1].pk, version="v1")
    happened(1, user=outside[2].pk, version="v2", code="conversation_exists", own=True)
    happened(1, user=staff().pk)
    seen = observe().members
    assert (seen.in_v2, seen.in_v1, seen.misplaced, seen.today) == (2, 2, 2, 3)


def test_the_detector_reads_the_stages_operations_in_time_order(began, happened):
    began("internal", days=2)
    happened(9, code="database_error", ago=timedelta(days=3))
    happened(1, code="database_error", ago=timedelta(hours=1))
    happened(4, ago=timedelta(hours=5))
    happened(2, method=SEND, ago=timedelta(minutes=2))
    happened(5, code="validation_error", own=True)
    happened(5, version="v1", code="database_error")
    assert read_detector() == detect(operations=7, failed=[5])


def test_the_detector_trips_on_a_burst_after_healthy_days(began, happened):
    began("internal", days=2)
    happened(200, ago=timedelta(days=1))
    happened(6, code="database_error")
    assert read_detector().tripped_at in range(201, 207)
    began("disabled", seconds=1)
    assert not read_detector().tripped


def test_the_guards_role_may_read_the_detector(db):
    with as_role("guard"):
        assert read_detector().tripped is False


def test_a_stage_is_judged_from_the_record(began, happened):
    began("internal", days=4)
    happened(59, ago=timedelta(days=1))
    happened(60, method=SEND, ms=45)
    results = evaluate_gates(stage=Stage.parse("internal"), observation=observe())
    assert [result.state for result in results] == [CheckState.PASS] * 3


def test_an_empty_stage_is_judged_without_harm(began):
    began("percentage:50", seconds=1)
    results = evaluate_gates(stage=Stage.parse("percentage:50"), observation=observe())
    assert {result.state for result in results} == {CheckState.INSUFFICIENT}


def test_judging_takes_few_queries(began, happened, django_assert_max_num_queries):
    began("internal", days=4)
    happened(3)
    with django_assert_max_num_queries(12):
        observe()
    assert connection.in_atomic_block
