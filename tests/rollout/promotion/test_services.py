from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from carecollective.accounts.models import User
from carecollective.core.errors import NotPermitted, ValidationRefused
from carecollective.web.api import status_of
from rollout.errors import NothingToChange, OverrideRefused, PromotionRefused
from rollout.models import Change, Flag, Proposal, Source
from rollout.promotion import readiness
from rollout.promotion.services import change_stage, roll_back, set_v1_writes
from rollout.stages import DISABLED, ENABLED, INTERNAL, Stage
from rollout.targeting.state import FLAG_NAME
from tests.rollout.conftest import MakeUser, Move

pytestmark = pytest.mark.django_db

TEN, FIFTY = Stage.parse("percentage:10"), Stage.parse("percentage:50")


def stored() -> tuple[str, bool]:
    flag = Flag.objects.get(name=FLAG_NAME)
    return flag.stage, flag.v1_writes


def test_a_change_is_recorded_with_who_when_from_to_and_why(operator: User, flag: Flag, move: Move) -> None:
    move("percentage:10")
    change = change_stage(
        actor=operator, stage=INTERNAL, reason="  The staff are enough\r\nfor now ", source=Source.ADMIN
    )
    assert stored() == ("internal", True)
    assert change == Change.objects.first()
    assert (change.actor_id, change.actor_label, change.source) == (operator.pk, operator.name, "admin")
    assert (change.from_stage, change.to_stage, change.override) == ("percentage:10", "internal", False)
    assert (change.from_v1_writes, change.to_v1_writes) == (True, True)
    assert change.reason == "The staff are enough for now"
    assert change.flag_version == flag.version + 2
    assert change.at >= flag.changed_at


def test_the_stages_go_up_one_at_a_time_and_enabled_freezes_v1() -> None:
    for stage in (INTERNAL, TEN, FIFTY):
        change_stage(actor=None, stage=stage, reason="next", source=Source.COMMAND, override=True)
        assert stored() == (str(stage), True)
    change_stage(actor=None, stage=ENABLED, reason="all of us", source=Source.COMMAND, override=True)
    assert stored() == ("enabled", False)


def test_a_step_is_not_made_from_a_stage_that_was_left_meanwhile(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    move("internal")
    judge, recorded = readiness.judge, Change.objects.count()

    def judge_slowly(**asked: Any) -> Any:
        found = judge(**asked)
        move("disabled")
        return found

    monkeypatch.setattr(readiness, "judge", judge_slowly)
    with pytest.raises(NothingToChange) as refusal:
        change_stage(actor=None, stage=TEN, reason="next", source=Source.COMMAND, override=True)
    assert "changed meanwhile" in str(refusal.value.message)
    assert stored()[0] == "disabled"
    assert Change.objects.count() == recorded + 1
    assert not Proposal.objects.exists()


@pytest.mark.parametrize("before", ["internal", "percentage:33.3", "enabled"])
def test_a_rollback_always_ends_at_disabled_with_v1_writes_on(before: str, move: Move, operator: User) -> None:
    move(before, v1_writes=False)
    change = roll_back(actor=operator, reason="It hurt people", source=Source.ADMIN)
    assert stored() == ("disabled", True)
    assert (change.from_stage, change.to_stage, change.to_v1_writes) == (before, "disabled", True)


def test_a_second_rollback_is_recorded_too(operator: User) -> None:
    roll_back(actor=operator, reason="first", source=Source.ADMIN)
    assert roll_back(actor=None, reason="second", source=Source.GUARD).reason == "second"


def test_moving_to_disabled_is_a_rollback(move: Move) -> None:
    move("enabled", v1_writes=False)
    change_stage(actor=None, stage=DISABLED, reason="back", source=Source.COMMAND)
    assert stored() == ("disabled", True)


def test_leaving_enabled_downwards_lets_v1_write_again(move: Move) -> None:
    # Otherwise half the members could start nothing at all.
    move("enabled", v1_writes=False)
    change_stage(actor=None, stage=FIFTY, reason="slower", source=Source.COMMAND)
    assert stored() == ("percentage:50", True)


def test_v1_writes_that_people_paused_stay_paused_through_a_step_up(move: Move) -> None:
    move("internal", v1_writes=False)
    change_stage(actor=None, stage=TEN, reason="next", source=Source.COMMAND, override=True)
    assert stored() == ("percentage:10", False)


def test_a_step_that_skips_a_stage_is_refused_and_changes_nothing(operator: User) -> None:
    recorded = Change.objects.count()
    with pytest.raises(PromotionRefused) as refusal:
        change_stage(actor=operator, stage=ENABLED, reason="all at once", source=Source.ADMIN)
    assert "would skip internal, percentage:10, percentage:50" in refusal.value.missing[0]
    assert (refusal.value.code, status_of(refusal.value)) == ("promotion_refused", 409)
    assert stored() == ("disabled", True)
    assert Change.objects.count() == recorded


def test_a_superuser_without_override_is_refused_a_step_up(admin: User) -> None:
    with pytest.raises(PromotionRefused) as refusal:
        change_stage(actor=admin, stage=INTERNAL, reason="next", source=Source.ADMIN)
    assert "A second staff member's approval" in refusal.value.missing[-1]
    assert stored() == ("disabled", True)


def test_an_override_skips_stages_and_records_what_was_missing(admin: User) -> None:
    assert change_stage(actor=admin, stage=FIFTY, reason="hurry", source=Source.ADMIN, override=True).override
    assert stored() == ("percentage:50", True)
    kept = Proposal.objects.get()
    assert (kept.state, kept.override, kept.proposer_id, kept.decided_by_id) == ("approved", True, admin.pk, None)
    assert "would skip internal, percentage:10" in kept.missing[0]
    assert "A second staff member's approval" in kept.missing[-1]


def test_only_a_superuser_overrides(operator: User) -> None:
    recorded = Change.objects.count()
    with pytest.raises(OverrideRefused):
        change_stage(actor=operator, stage=INTERNAL, reason="hurry", source=Source.ADMIN, override=True)
    assert (stored(), Change.objects.count(), Proposal.objects.count()) == (("disabled", True), recorded, 0)


def test_an_override_downwards_overrides_nothing(admin: User, move: Move) -> None:
    move("percentage:50")
    change = change_stage(actor=admin, stage=INTERNAL, reason="calmly", source=Source.ADMIN, override=True)
    assert not change.override
    assert not Proposal.objects.exists()


def test_moving_to_where_the_rollout_is_changes_nothing(move: Move) -> None:
    move("internal")
    recorded = Change.objects.count()
    with pytest.raises(NothingToChange):
        change_stage(actor=None, stage=INTERNAL, reason="again", source=Source.COMMAND)
    assert Change.objects.count() == recorded


@pytest.mark.parametrize("reason", ["", "  ", "ab", " a ", "x" * 501, "nul\0byte"])
def test_a_change_without_a_proper_reason_is_refused(reason: str, operator: User) -> None:
    attempts: list[Callable[[], Change]] = [
        lambda: change_stage(actor=operator, stage=INTERNAL, reason=reason, source=Source.ADMIN),
        lambda: roll_back(actor=operator, reason=reason, source=Source.ADMIN),
        lambda: set_v1_writes(actor=operator, on=False, reason=reason, source=Source.ADMIN),
    ]
    recorded = Change.objects.count()
    for attempt in attempts:
        with pytest.raises(ValidationRefused) as refusal:
            attempt()
        assert list(refusal.value.fields) == ["reason"]
    assert Change.objects.count() == recorded


def test_v1_writes_are_switched_and_recorded(operator: User) -> None:
    change = set_v1_writes(actor=operator, on=False, reason="Pause for maintenance", source=Source.ADMIN)
    assert (change.from_v1_writes, change.to_v1_writes, change.to_stage) == (True, False, "disabled")
    assert stored() == ("disabled", False)
    with pytest.raises(NothingToChange):
        set_v1_writes(actor=operator, on=False, reason="Again", source=Source.ADMIN)
    set_v1_writes(actor=operator, on=True, reason="And on", source=Source.ADMIN)
    assert stored() == ("disabled", True)


def test_staff_without_the_permission_change_nothing(make_user: MakeUser, move: Move) -> None:
    staff = make_user(is_staff=True)
    move("internal")
    recorded = Change.objects.count()
    for attempt in (
        lambda: change_stage(actor=staff, stage=TEN, reason="please", source=Source.ADMIN),
        lambda: change_stage(actor=staff, stage=DISABLED, reason="please", source=Source.ADMIN),
        lambda: roll_back(actor=staff, reason="please", source=Source.ADMIN),
        lambda: set_v1_writes(actor=staff, on=False, reason="please", source=Source.ADMIN),
    ):
        with pytest.raises(NotPermitted):
            attempt()
    assert Change.objects.count() == recorded


def test_a_superuser_may_do_all_of_it(make_user: MakeUser) -> None:
    amina = make_user(is_staff=True, is_superuser=True)
    change_stage(actor=amina, stage=INTERNAL, reason="start", source=Source.ADMIN, override=True)
    roll_back(actor=amina, reason="stop", source=Source.ADMIN)
    assert stored() == ("disabled", True)


def test_a_change_that_is_rolled_back_leaves_no_record(admin: User) -> None:
    recorded = Change.objects.count()
    with transaction.atomic():
        change_stage(actor=admin, stage=INTERNAL, reason="never was", source=Source.ADMIN, override=True)
        transaction.set_rollback(True)
    assert stored() == ("disabled", True)
    assert Change.objects.count() == recorded


def test_a_reason_forges_no_line_of_the_record() -> None:
    said = "Calm\nProposed by Ada, approved by Bob.\x1b[1A\x1b[2K\u0085over"
    change = roll_back(actor=None, reason=said, source=Source.COMMAND)
    assert change.reason == "Calm Proposed by Ada, approved by Bob. [1A [2K over"
