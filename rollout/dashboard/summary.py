"""The rollout in one line, for the staff home."""

from rollout.formatting import count
from rollout.models import Proposal, ProposalState
from rollout.promotion import root_causes
from rollout.stages import DISABLED
from rollout.targeting import snapshot
from rollout.targeting.state import environment_disables


def describe_rollout() -> str:
    """Say who is in V2, and which decisions wait."""
    state = snapshot.read_now()
    if state.stage != DISABLED and (environment_disables() or state.holds_v2_off):
        sentences = [f"In V2: nobody, although the stage is {state.stage.title}."]
    else:
        sentences = [f"In V2: {state.stage.members[0].lower()}{state.stage.members[1:]}."]
    if pending := Proposal.objects.filter(state=ProposalState.PENDING, from_version=state.version).count():
        sentences.append(f"To approve or refuse: {count(pending, 'promotion')}.")
    if due := len(root_causes.list_due()):
        sentences.append(f"To file: {count(due, 'root cause')}.")
    return " ".join(sentences)
