"""After a rollback whose root cause is filed, two people go straight back to the stage that was left."""

from collections.abc import Callable
from typing import Any

import pytest

from carecollective.accounts.models import User
from rollout.dashboard.status import read_status
from rollout.dashboard.views import steps_of
from rollout.errors import PromotionRefused
from rollout.gates.criteria import RESUMED_BAKE_DAYS
from rollout.gates.observations import collect_observation
from rollout.gates.stays import find_resumption, read_stays
from rollout.models import Flag, Source
from rollout.promotion import proposals, readiness, sign_offs
from rollout.promotion.root_causes import file_root_cause, list_due
from rollout.promotion.services import change_stage, roll_back
from rollout.stages import DISABLED, ENABLED, INTERNAL, Stage
from tests.operators import MakeStaff

pytestmark = pytest.mark.django_db

TEN, HALF = Stage.parse("percentage:10"), Stage.parse("percentage:50")
ANSWERS = {"what": "Offers failed", "why": "An index", "fix": "Add it", "who": "Ben", "due": "2099-12-01"}


@pytest.fixture
def climbed(stage: Callable[..., None], past_the_triggers: Any) -> None:
    """Step by step to 50%, as two people would have approved it."""
    for name in ("internal", "percentage:10", "percentage:50"):
        stage(name)
    with past_the_triggers() as cursor:
        cursor.execute("UPDATE rollout_change SET source = 'admin' WHERE source = 'outside'")


@pytest.fixture
def left(climbed: None, amina: User) -> int:
    """The rollout was rolled back from 50%; the form waits."""
    roll_back(actor=amina, reason="Errors", source=Source.ADMIN)
    return list_due()[0].id


def go(to: Stage, ben: User, amina: User) -> None:
    proposal = proposals.propose(actor=ben, stage=to, reason="Repaired")
    proposals.approve(actor=amina, proposal_id=proposal.pk)


def test_without_the_root_cause_only_the_first_stage_is_next(left: int, sound: None, signed: None, ben: User) -> None:
    with pytest.raises(PromotionRefused) as refusal:
        proposals.propose(actor=ben, stage=HALF, reason="Repaired")
    assert any("would skip internal, percentage:10" in one for one in refusal.value.missing)
    found = read_status().resume
    assert found is not None
    assert (found.stage, found.ready) == (HALF, False)
    assert "Once the root cause of the rollback is filed" in found.words


def test_with_it_two_people_go_back_at_once(left: int, sound: None, signed: None, ben: User, amina: User) -> None:
    file_root_cause(actor=ben, root_cause_id=left, **ANSWERS)
    found = read_status().resume
    assert found is not None
    assert (found.stage, found.ready) == (HALF, True)
    go(HALF, ben, amina)
    assert Flag.objects.get().stage == "percentage:50"
    assert [state for _stage, state in steps_of(read_status())] == ["passed", "passed", "passed", "current", "ahead"]


@pytest.mark.parametrize("target", [TEN, ENABLED])
def test_no_other_stage_is_reached_that_way(target: Stage, left: int, sound: None, signed: None, ben: User) -> None:
    file_root_cause(actor=ben, root_cause_id=left, **ANSWERS)
    with pytest.raises(PromotionRefused) as refusal:
        proposals.propose(actor=ben, stage=target, reason="Repaired")
    assert any("would skip" in one for one in refusal.value.missing)


def test_the_checklist_is_still_asked_for(left: int, sound: None, ben: User) -> None:
    file_root_cause(actor=ben, root_cause_id=left, **ANSWERS)
    with pytest.raises(PromotionRefused):
        proposals.propose(actor=ben, stage=HALF, reason="Repaired")
    found = read_status().resume
    assert found is not None
    assert found.ready is False


def test_after_another_stage_it_is_a_new_climb(left: int, ben: User, stage: Any) -> None:
    file_root_cause(actor=ben, root_cause_id=left, **ANSWERS)
    stage("internal")
    assert find_resumption(read_stays()) is None


def test_a_stage_that_nobody_approved_is_not_gone_back_to(stage: Any, ben: User, amina: User) -> None:
    stage("enabled")
    roll_back(actor=amina, reason="Who was that?", source=Source.ADMIN)
    file_root_cause(actor=ben, root_cause_id=list_due()[0].id, **ANSWERS)
    assert read_status().resume is None
    assert not readiness.judge(stage=DISABLED, target=ENABLED).passed
    words = [blocker.words for blocker in readiness.judge(stage=DISABLED, target=ENABLED).blockers]
    assert any("would skip" in one for one in words)


def test_earlier_figures_count_except_those_before_the_rollback(
    climbed: None, sound: None, ben: User, amina: User, record: Any, past_the_triggers: Any
) -> None:
    record(starts=40)
    roll_back(actor=amina, reason="Errors", source=Source.ADMIN)
    with past_the_triggers() as cursor:
        # The stay lasted three days, until an hour ago; most of the 40 starts lie in it.
        cursor.execute("UPDATE rollout_change SET at = at - interval '3 days' WHERE to_stage <> 'disabled'")
        cursor.execute("UPDATE rollout_change SET at = at - interval '30 minutes' WHERE reason = 'Errors'")
        cursor.execute(
            "INSERT INTO application_logs (key, timestamp, service, method, event, log_level, error_code, version, stage,"
            " duration_ms, request_id, connection_error) SELECT gen_random_uuid(), clock_timestamp() - make_interval("
            " mins => m), 'MessagingServiceV2', 'startHelpConversation', 'error', 'error', 'internal_server_error', 'v2',"
            " 'percentage:50', 40, '', false FROM unnest(ARRAY[35, 40, 20]) AS m"
        )
    file_root_cause(actor=ben, root_cause_id=list_due()[0].id, **ANSWERS)
    sign_everything(ben, amina)
    go(HALF, ben, amina)
    seen = collect_observation()
    assert seen.resumed_from is not None
    # Two failures fell into the quarter of an hour before the rollback, one into the time without V2.
    assert (seen.starts.succeeded, seen.starts.failed) == (40, 0)
    bake = next(gate for gate in readiness.judge(stage=HALF, target=ENABLED).gates if gate.name == "bake")
    assert bake.figures["days_asked"] == RESUMED_BAKE_DAYS == 1
    assert "the 1 day asked are over at" in bake.words


def sign_everything(ben: User, amina: User) -> None:

    for item in ("unit_tests", "e2e_tests", "rollback_plan"):
        sign_offs.sign(actor=ben, item=item)
    sign_offs.sign(actor=ben, item="stakeholders", part=sign_offs.ENGINEERING)
    sign_offs.sign(actor=amina, item="stakeholders", part=sign_offs.PRODUCT)


def test_an_override_back_to_it_keeps_nothing(left: int, ben: User, operators: MakeStaff, sound: None) -> None:
    file_root_cause(actor=ben, root_cause_id=left, **ANSWERS)
    root = operators(name="Root", is_superuser=True)
    change_stage(actor=root, stage=HALF, reason="Now", source=Source.ADMIN, override=True)
    assert collect_observation().resumed_from is None


def test_a_stage_passed_over_by_an_override_is_skipped(operators: MakeStaff, sound: None, stage: Any) -> None:
    stage("internal")
    root = operators(name="Root", is_superuser=True)
    change_stage(actor=root, stage=HALF, reason="Now", source=Source.ADMIN, override=True)
    status = read_status()
    assert status.skipped == (TEN,)
    assert [state for _stage, state in steps_of(status)] == ["passed", "passed", "skipped", "current", "ahead"]


def test_a_percentage_between_stands_for_the_stage_below_it(stage: Any) -> None:
    for name in ("internal", "percentage:25", "percentage:50"):
        stage(name)
    assert read_status().skipped == ()


def test_an_earlier_climb_passes_no_stage_of_this_one(climbed: None, stage: Any) -> None:
    stage("disabled")
    stage("percentage:50")
    assert read_status().skipped == (INTERNAL, TEN)


def test_nothing_is_skipped_at_the_bottom(db: None) -> None:
    status = read_status()
    assert (status.stage, status.skipped, status.resume) == (DISABLED, (), None)
