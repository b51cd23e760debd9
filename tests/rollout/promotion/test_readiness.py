"""The whole way up on real figures: what was recorded, signed, watched and waited for."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from carecollective.accounts.models import User
from rollout.errors import PromotionRefused
from rollout.models import Flag, Proposal
from rollout.promotion import proposals, readiness
from rollout.promotion.readiness import Blocker
from rollout.stages import DISABLED, INTERNAL, Stage
from tests.rollout.promotion.conftest import count

pytestmark = pytest.mark.django_db

TEN = Stage.parse("percentage:10")


def blockers(stage: Stage = INTERNAL, target: Stage = TEN) -> tuple[Blocker, ...]:
    return readiness.judge(stage=stage, target=target).blockers


def test_a_new_site_is_not_ready_and_says_what_is_missing() -> None:
    found = readiness.judge(stage=DISABLED, target=INTERNAL)
    assert not found.passed
    assert found.gates == ()
    assert {blocker.kind for blocker in found.blockers} == {"checklist"}
    assert any("tests pass" in words for words in found.missing)


def test_no_data_promotes_nobody(sound: None, signed: None, since_four_days: None) -> None:
    found = readiness.judge(stage=INTERNAL, target=TEN)
    assert not found.passed
    assert {blocker.kind for blocker in found.blockers} == {"gate"}
    assert "insufficient" in {gate.state.value for gate in found.gates}


def test_with_figures_signatures_and_two_people_the_stage_goes_up(
    sound: None, signed: None, since_four_days: None, record: Callable[..., None], ben: User, amina: User
) -> None:
    record(starts=80, sends=80)
    assert blockers() == ()
    proposal = proposals.propose(actor=ben, stage=TEN, reason="Four good days")
    change = proposals.approve(actor=amina, proposal_id=proposal.pk)
    assert (change.from_stage, change.to_stage, change.override) == ("internal", "percentage:10", False)
    kept = Proposal.objects.get().evidence
    assert kept["confidence"] == 0.95
    assert {gate["state"] for gate in kept["gates"]} == {"pass"}
    assert set(kept["checklist"].values()) == {"pass"}


def test_the_confidence_is_a_setting_and_the_evidence_keeps_it(
    sound: None, signed: None, since_four_days: None, record: Callable[..., None], settings: Settings
) -> None:
    record(starts=80, sends=80)
    settings.ROLLOUT_CONFIDENCE = 0.9999
    found = readiness.judge(stage=INTERNAL, target=TEN)
    assert found.evidence()["confidence"] == 0.9999
    assert not found.passed


def test_failures_block(
    sound: None, signed: None, since_four_days: None, record: Callable[..., None], ben: User
) -> None:
    record(starts=60, sends=80, failures=20)
    with pytest.raises(PromotionRefused) as refusal:
        proposals.propose(actor=ben, stage=TEN, reason="Surely")
    assert refusal.value.missing
    assert Flag.objects.get().stage == "internal"
    assert count("rollout_proposal") == 0


def test_a_stage_must_bake(sound: None, signed: None, stage: Any, record: Callable[..., None]) -> None:
    stage("internal")
    record(starts=80, sends=80)
    found = readiness.judge(stage=INTERNAL, target=TEN)
    assert not found.passed
    assert {blocker.kind for blocker in found.blockers} == {"gate", "sign_off"}


def test_an_open_alert_blocks_until_it_is_resolved(
    sound: None, signed: None, since_four_days: None, record: Callable[..., None], beyond_policies: Any
) -> None:
    record(starts=80, sends=80)
    with beyond_policies() as cursor:
        cursor.execute(
            "INSERT INTO rollout_alert (kind, severity, opened_at, last_seen_at, words, figures, stage, disabled_v2)"
            " VALUES ('latency', 'warning', clock_timestamp(), clock_timestamp(), 'Sends are slow.', '{}', 'internal', false)"
        )
    assert [(blocker.kind, blocker.words) for blocker in blockers()] == [("alert", "An alert is open: Sends are slow.")]
    with beyond_policies() as cursor:
        cursor.execute("UPDATE rollout_alert SET resolved_at = clock_timestamp()")
    assert blockers() == ()


def test_a_skipped_stage_blocks(sound: None, signed: None, since_four_days: None, record: Callable[..., None]) -> None:
    record(starts=80, sends=80)
    (blocker,) = blockers(target=Stage.parse("percentage:50"))
    assert (blocker.kind, blocker.words) == ("skip", "Going from internal to percentage:50 would skip percentage:10.")


def test_when_it_will_be_ready_is_told_only_if_every_gate_can_tell(since_four_days: None, record: Any) -> None:
    def hours_left() -> float | None:
        expected_at = readiness.judge(stage=INTERNAL, target=TEN).expected_at
        return None if expected_at is None else (expected_at - timezone.now()).total_seconds() / 3600

    assert hours_left() is None
    record(starts=20)
    assert hours_left() is None
    # 39 of 59 starts are missing and 49 of 59 sends, at 20 and 10 in a day: the later of the two is told.
    record(sends=10)
    assert hours_left() == pytest.approx(49 / 10 * 24, abs=0.1)
    record(starts=60, sends=70)
    assert hours_left() is None
