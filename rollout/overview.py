"""The top of the control room: who is served, what changed last, and what fails. Read at each look, in three queries."""

from django.utils.translation import gettext as _

from rollout import figures
from rollout.figures import Window
from rollout.stages import DISABLED, Stage
from rollout.status_tree import FailingCode, Overview, Served
from rollout.timeline import list_changes
from rollout.versions import MessagingVersion

SERVED_WITHIN = Window(300)
FAILED_WITHIN = Window(3600)
SHOWN = 3


def read_overview(*, stage: Stage, v1_writes: bool, v2_is_off: bool) -> Overview:
    """Read what somebody who was just woken needs first.

    `v2_is_off` tells that nobody can start in V2, whatever `stage` says.
    """
    takes_starts = {MessagingVersion.V1: v1_writes, MessagingVersion.V2: stage != DISABLED and not v2_is_off}
    return Overview(
        served=tuple(_served(version, takes_starts=takes_starts[version]) for version in MessagingVersion),
        last_change=next(iter(list_changes(1)), None),
        failing=tuple(
            FailingCode(found.code, found.version, found.count, found.last_at, found.request_ids)
            for found in figures.failures_by_code(FAILED_WITHIN, requests=SHOWN)[:SHOWN]
        ),
    )


def _served(version: MessagingVersion, *, takes_starts: bool) -> Served:
    seen = figures.creation_success(SERVED_WITHIN, version=version)
    if not seen.denominator:
        state, words = ("none", _("No starts")) if takes_starts else ("off", _("Off"))
    else:
        state = "fail" if seen.failed else "pass"
        words = _("%(good)d of %(all)d started") % {"good": seen.succeeded, "all": seen.denominator}
    return Served(version, takes_starts, seen.succeeded, seen.failed, state, words)
