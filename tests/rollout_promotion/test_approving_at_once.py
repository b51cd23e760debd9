from concurrent.futures import ThreadPoolExecutor

from django.db import connections

from carecollective.accounts.models import User
from rollout import proposals
from rollout.errors import ProposalSettled, ProposalStale
from rollout.models import Change, Flag, Proposal
from rollout.stages import INTERNAL
from tests.operators import MakeStaff
from tests.rollout_promotion.conftest import Evidence


def test_of_four_who_approve_at_once_one_moves_the_rollout(
    committed_db: None, shown: Evidence, operators: MakeStaff
) -> None:
    proposal = proposals.propose(actor=operators(), stage=INTERNAL, reason="The staff are ready")
    approvers, recorded = [operators() for _ in range(4)], Change.objects.count()

    def approve(actor: User) -> str:
        try:
            proposals.approve(actor=actor, proposal_id=proposal.pk)
        except (ProposalSettled, ProposalStale) as refusal:
            return refusal.code
        else:
            return "approved"
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(approve, approvers))
    assert sorted(answers) == ["approved", *["proposal_settled"] * 3]
    assert Change.objects.count() == recorded + 1
    assert (Flag.objects.get().stage, Proposal.objects.get().state) == ("internal", "approved")
