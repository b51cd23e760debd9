"""After a rollback: whether V1 serves the members that V2 no longer does."""

from django.utils.translation import gettext as _

from rollout import figures
from rollout.status_tree import ServedSince
from rollout.stays import read_runs
from rollout.versions import MessagingVersion

# As in the alert rules: fewer failures are chance, and fewer starts than that prove nothing.
FAILURES, SUCCESS = 3, 0.95


def read_v1_since_rollback() -> ServedSince | None:
    """Count how V1's starts ended since V2 was rolled back; None where the latest change of the stage was another."""
    latest = next(iter(read_runs()), None)
    if latest is None or not latest.is_rollback:
        return None
    since = latest.began
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
