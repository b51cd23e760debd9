from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from carecollective.accounts.models import User
from carecollective.core.errors import NotPermitted, ValidationRefused
from rollout.errors import (
    NothingToChange,
    PromotionRefused,
    ProposalNotFound,
    ProposalPending,
    ProposalSettled,
    ProposalStale,
    SamePerson,
)
from rollout.models import Change, Flag, Proposal, Source
from rollout.promotion import proposals, readiness
from rollout.promotion.services import roll_back
from rollout.stages import DISABLED, INTERNAL, Stage
from tests.operators import MakeStaff
from tests.readiness import StandInReadiness

pytestmark = pytest.mark.django_db

TEN = Stage.parse("percentage:10")


@pytest.fixture
def proposal(shown: StandInReadiness, ben: User) -> Proposal:
    return proposals.propose(actor=ben, stage=INTERNAL, reason="The staff are ready")


def stage() -> str:
    return Flag.objects.get().stage


def state(proposal: Proposal) -> str:
    proposal.refresh_from_db()
    return proposal.state


def test_one_proposes_and_another_approves_and_the_record_names_both(
    proposal: Proposal, flag: Flag, ben: User, amina: User
) -> None:
    assert (proposal.from_stage, proposal.to_stage, proposal.from_version) == ("disabled", "internal", flag.version)
    assert stage() == "disabled"
    change = proposals.approve(actor=amina, proposal_id=proposal.pk)
    assert (stage(), state(proposal)) == ("internal", "approved")
    assert (change.actor_id, change.source, change.override) == (amina.pk, "admin", False)
    assert change.reason == "The staff are ready\nProposed by Ben, approved by Amina."
    assert (proposal.proposer_id, proposal.decided_by_id) == (ben.pk, amina.pk)
    assert proposal.decided_at is not None
    nothing_sent = {"calls": 0, "p95_ms": None, "p95_at_most_ms": None}
    assert proposal.evidence == {"confidence": 0.95, "gates": [], "checklist": {}, "sends": nothing_sent}


def test_reaching_enabled_by_approval_freezes_v1(shown: StandInReadiness, ben: User, amina: User, stage: Any) -> None:
    stage("percentage:50")
    proposal = proposals.propose(actor=ben, stage=Stage.parse("enabled"), reason="All of us")
    proposals.approve(actor=amina, proposal_id=proposal.pk)
    flag = Flag.objects.get()
    assert (flag.stage, flag.v1_writes) == ("enabled", False)


def test_nobody_approves_their_own_proposal_not_even_a_superuser(shown: StandInReadiness, operators: MakeStaff) -> None:
    alone = operators(name="Alone", is_superuser=True)
    proposal = proposals.propose(actor=alone, stage=INTERNAL, reason="Trust me")
    with pytest.raises(SamePerson):
        proposals.approve(actor=alone, proposal_id=proposal.pk)
    assert (stage(), state(proposal)) == ("disabled", "pending")


def test_the_database_refuses_approval_by_the_proposer_or_nobody(proposal: Proposal, ben: User) -> None:
    for decided_by in (ben.pk, None):
        with pytest.raises(IntegrityError, match="takes_two_people"), transaction.atomic():
            Proposal.objects.filter(pk=proposal.pk).update(
                state="approved", decided_by_id=decided_by, decided_at="2026-01-01T00:00:00Z"
            )


def test_a_proposal_for_an_older_state_changes_nothing(proposal: Proposal, amina: User, flag: Flag) -> None:
    roll_back(actor=amina, reason="To be sure", source=Source.ADMIN)
    recorded = Change.objects.count()
    with pytest.raises(ProposalStale):
        proposals.approve(actor=amina, proposal_id=proposal.pk)
    assert (stage(), state(proposal), Change.objects.count()) == ("disabled", "stale", recorded)


def test_a_proposal_without_evidence_names_what_is_missing(shown: StandInReadiness, ben: User) -> None:
    shown.missing = ("12 more clean starts.", "The backup is too old.")
    with pytest.raises(PromotionRefused) as refusal:
        proposals.propose(actor=ben, stage=INTERNAL, reason="Let us go")
    assert refusal.value.missing == shown.missing
    assert not Proposal.objects.exists()


def test_the_evidence_is_asked_for_again_at_the_approval(
    shown: StandInReadiness, proposal: Proposal, amina: User
) -> None:
    shown.missing = ("An alert is open.",)
    recorded = Change.objects.count()
    with pytest.raises(PromotionRefused) as refusal:
        proposals.approve(actor=amina, proposal_id=proposal.pk)
    assert refusal.value.missing == ("An alert is open.",)
    assert (stage(), state(proposal), Change.objects.count()) == ("disabled", "pending", recorded)


def test_a_proposal_falls_with_its_proposer(
    shown: StandInReadiness, proposal: Proposal, ben: User, amina: User
) -> None:
    User.objects.filter(pk=ben.pk).update(is_active=False)
    with pytest.raises(PromotionRefused) as refusal:
        proposals.approve(actor=amina, proposal_id=proposal.pk)
    assert refusal.value.missing == ("Whoever proposed it may propose no more.",)
    assert (stage(), state(proposal)) == ("disabled", "pending")


def test_who_loses_access_while_gates_are_judged_approves_nothing(
    shown: StandInReadiness, proposal: Proposal, amina: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = shown.judge

    def judge_late(**asked: Any) -> Any:
        User.objects.filter(pk=amina.pk).update(is_active=False)
        return judge(**asked)

    monkeypatch.setattr(readiness, "judge", judge_late)
    with pytest.raises(NotPermitted):
        proposals.approve(actor=amina, proposal_id=proposal.pk)
    assert (stage(), state(proposal)) == ("disabled", "pending")


def test_only_a_step_up_is_proposed(shown: StandInReadiness, ben: User, stage: Any) -> None:
    stage("internal")
    for target in (INTERNAL, DISABLED):
        with pytest.raises(NothingToChange):
            proposals.propose(actor=ben, stage=target, reason="Down")
    assert not Proposal.objects.exists()


def test_a_proposal_needs_a_reason(shown: StandInReadiness, ben: User) -> None:
    with pytest.raises(ValidationRefused):
        proposals.propose(actor=ben, stage=INTERNAL, reason=" ")
    assert not Proposal.objects.exists()


def test_one_proposal_waits_at_a_time_and_a_stale_one_makes_room(proposal: Proposal, ben: User, amina: User) -> None:
    with pytest.raises(ProposalPending):
        proposals.propose(actor=amina, stage=INTERNAL, reason="Mine too")
    roll_back(actor=amina, reason="To be sure", source=Source.ADMIN)
    second = proposals.propose(actor=amina, stage=INTERNAL, reason="Once more")
    assert (state(proposal), state(second)) == ("stale", "pending")


def test_a_second_staff_member_refuses_with_a_reason(proposal: Proposal, amina: User) -> None:
    refused = proposals.refuse(actor=amina, proposal_id=proposal.pk, reason="Not on a Friday")
    assert (refused.state, refused.decision_reason, refused.decided_by_label) == ("refused", "Not on a Friday", "Amina")
    assert stage() == "disabled"


def test_the_proposer_alone_withdraws(proposal: Proposal, ben: User, amina: User) -> None:
    with pytest.raises(NotPermitted):
        proposals.withdraw(actor=amina, proposal_id=proposal.pk)
    assert proposals.withdraw(actor=ben, proposal_id=proposal.pk).state == "withdrawn"


def test_what_was_decided_is_not_decided_again(proposal: Proposal, ben: User, amina: User) -> None:
    proposals.refuse(actor=amina, proposal_id=proposal.pk, reason="Not yet")
    for attempt in (
        lambda: proposals.approve(actor=amina, proposal_id=proposal.pk),
        lambda: proposals.refuse(actor=amina, proposal_id=proposal.pk, reason="Again"),
        lambda: proposals.withdraw(actor=ben, proposal_id=proposal.pk),
    ):
        with pytest.raises(ProposalSettled):
            attempt()
    assert (stage(), state(proposal)) == ("disabled", "refused")


def test_a_proposal_that_does_not_exist_is_not_found(amina: User, shown: StandInReadiness) -> None:
    with pytest.raises(ProposalNotFound):
        proposals.approve(actor=amina, proposal_id=1_000_000)


def test_each_act_takes_its_permission(proposal: Proposal, operators: MakeStaff) -> None:
    onlooker, proposer = operators("view"), operators("view", "propose")
    for attempt in (
        lambda: proposals.propose(actor=onlooker, stage=INTERNAL, reason="Please"),
        lambda: proposals.approve(actor=proposer, proposal_id=proposal.pk),
        lambda: proposals.refuse(actor=proposer, proposal_id=proposal.pk, reason="No no"),
        lambda: proposals.withdraw(actor=onlooker, proposal_id=proposal.pk),
    ):
        with pytest.raises(NotPermitted):
            attempt()
    assert (state(proposal), stage(), Proposal.objects.count()) == ("pending", "disabled", 1)


def test_a_rollback_waits_for_no_proposal_and_settles_none(proposal: Proposal, amina: User, stage: Any) -> None:
    stage("enabled")
    roll_back(actor=amina, reason="Errors", source=Source.ADMIN)
    assert state(proposal) == "pending"


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM rollout_proposal",
        "TRUNCATE rollout_proposal",
        "UPDATE rollout_proposal SET reason = 'another'",
        "UPDATE rollout_proposal SET proposer_id = gen_random_uuid()",
    ],
)
def test_the_web_rewrites_no_proposal(sql: str, proposal: Proposal) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def test_even_the_owner_settles_a_proposal_once(proposal: Proposal, amina: User, beyond_policies: Any) -> None:
    proposals.refuse(actor=amina, proposal_id=proposal.pk, reason="Not yet")
    with beyond_policies() as cursor, pytest.raises(DatabaseError, match="stays as it is"), transaction.atomic():
        cursor.execute("UPDATE rollout_proposal SET state = 'pending', decided_at = NULL")
