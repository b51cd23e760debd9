from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from django.db import connections

from carecollective.accounts.models import User
from rollout.errors import ProposalSettled, ProposalStale, SamePerson
from rollout.models import Change, Flag, Proposal, SignOff
from rollout.promotion import proposals
from rollout.promotion.sign_offs import ENGINEERING, PRODUCT, sign
from rollout.stages import INTERNAL
from tests.operators import MakeStaff
from tests.readiness import StandInReadiness


def test_of_four_who_approve_at_once_one_moves_the_rollout(
    committed_db: None, shown: StandInReadiness, operators: MakeStaff
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


def test_nobody_signs_for_both_stakeholders_even_at_once(committed_db: None, operators: MakeStaff) -> None:
    for _trial in range(20):
        signer, at_once = operators(), Barrier(2)

        def give(part: str, signer: User = signer, at_once: Barrier = at_once) -> str:
            at_once.wait(5)
            try:
                sign(actor=signer, item="stakeholders", part=part)
            except SamePerson:
                return "refused"
            else:
                return "signed"
            finally:
                connections.close_all()

        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(give, (ENGINEERING, PRODUCT)))
        assert sorted(answers) == ["refused", "signed"]
        assert SignOff.objects.filter(signer_id=signer.pk).count() == 1
