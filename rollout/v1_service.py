"""After a rollback: whether V1 serves the members that V2 no longer does."""

from django.utils.translation import gettext as _

from carecollective.core.database import fetch_all
from rollout import figures
from rollout.stages import DISABLED
from rollout.status_tree import ServedSince
from rollout.versions import MessagingVersion

# As in the alert rules: fewer failures are chance, and fewer starts than that prove nothing.
FAILURES, SUCCESS = 3, 0.95
_LATEST = """
SELECT at, from_stage, to_stage FROM public.rollout_change
WHERE from_stage IS DISTINCT FROM to_stage ORDER BY id DESC LIMIT 1
"""


def read_v1_since_rollback() -> ServedSince | None:
    """Count how V1's starts ended since V2 was rolled back; None where the latest change of the stage was another."""
    row = next(iter(fetch_all(_LATEST)), None)
    if row is None or row[1] in (None, str(DISABLED)) or row[2] != str(DISABLED):
        return None
    since = row[0]
    seen = figures.creation_success(figures.Since(since), version=MessagingVersion.V1)
    said = {"good": seen.succeeded, "all": seen.denominator, "failed": seen.failed}
    if seen.share is None:
        state, words = "insufficient", _("Not known yet if V1 serves members: no start since the rollback.")
    elif seen.failed >= FAILURES and seen.share < SUCCESS:
        state, words = "fail", _("V1 does not serve members: %(failed)d of %(all)d starts failed since the rollback.")
    elif seen.share < SUCCESS:
        state, words = (
            "insufficient",
            _("Not known yet if V1 serves members: %(failed)d of %(all)d starts failed so far."),
        )
    else:
        state, words = "pass", _("Members are served by V1: %(good)d of %(all)d since the rollback.")
    return ServedSince(since=since, succeeded=seen.succeeded, failed=seen.failed, state=state, words=words % said)
