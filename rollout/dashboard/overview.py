"""The top of the control room: who is served, what changed last, and what fails. Read at each look."""

from django.utils.translation import gettext as _

from carecollective.core.moments import moment
from rollout.alerts.channels import name_variables
from rollout.alerts.lifecycle import AlertRecord, recent_alerts
from rollout.alerts.notifications import ChannelState
from rollout.dashboard.schema import Overview, Served, TimelineEntry
from rollout.gates.v1_service import SUCCESS, read_v1_since_rollback
from rollout.models.alerts import Occasion
from rollout.stages import DISABLED, Stage
from rollout.telemetry import metrics
from rollout.telemetry.metrics import Window
from rollout.versions import MessagingVersion

SERVED_WITHIN = Window(300)
FAILED_WITHIN = Window(3600)
SHOWN = 3


def read_overview(
    *,
    stage: Stage,
    v1_writes: bool,
    v2_is_off: bool,
    channels: tuple[ChannelState, ...],
    last_change: TimelineEntry | None,
) -> Overview:
    """Read what somebody who was just woken needs first.

    `v2_is_off` tells that nobody can start in V2, whatever `stage` says.
    """
    takes_starts = {MessagingVersion.V1: v1_writes, MessagingVersion.V2: stage != DISABLED and not v2_is_off}
    return Overview(
        served=tuple(_served(version, takes_starts=takes_starts[version]) for version in MessagingVersion),
        last_change=last_change,
        failing=metrics.failures_by_code(FAILED_WITHIN, requests=SHOWN)[:SHOWN],
        told=_told(_latest_alert(), channels),
        v1_since_rollback=read_v1_since_rollback(),
    )


def _latest_alert() -> AlertRecord | None:
    """Return the latest alert that is to be told: a weaker one of the same cause waits behind a stronger, untold."""
    latest = recent_alerts(10)
    return next((one for one in latest if one.deliveries), next(iter(latest), None))


def _told(latest: AlertRecord | None, channels: tuple[ChannelState, ...]) -> str:
    """Say whether the latest alert reached somebody, and over which channels."""
    set_up = [channel.name for channel in channels if channel.configured]
    if not set_up:
        return _("Nobody. No channel is set up: set %(variables)s.") % {"variables": name_variables()}
    if latest is None:
        return _("No alert yet. Alerts go to: %(channels)s.") % {"channels": ", ".join(set_up)}
    told = [sent.channel for sent in latest.deliveries if sent.what == Occasion.OPENED and sent.delivered_at]
    said = {"title": latest.title, "channels": ", ".join(told)}
    if latest.told_at:
        at = moment(latest.told_at, "second")
        return _("Yes, by %(channels)s at %(at)s: %(title)s.") % {**said, "at": at}
    failed = [f"{sent.channel} ({sent.error})" for sent in latest.deliveries if sent.error]
    if failed:
        return _("Not yet: %(title)s. Failed: %(failed)s.") % {**said, "failed": ", ".join(failed)}
    return _("Not yet: %(title)s. It is on its way.") % said


def _served(version: MessagingVersion, *, takes_starts: bool) -> Served:
    seen = metrics.creation_success(SERVED_WITHIN, version=version)
    if not seen.denominator:
        state, words = ("none", _("No starts")) if takes_starts else ("off", _("Off"))
    else:
        state = _state(seen.failed, seen.succeeded / seen.denominator)
        words = _("%(good)d of %(all)d") % {"good": seen.succeeded, "all": seen.denominator}
    return Served(version, takes_starts, seen.succeeded, seen.failed, state, words)


def _state(failed: int, share: float) -> str:
    """Judge as the tiles do: one failure of a few starts is chance, a second is none."""
    if share >= SUCCESS:
        return "pass"
    return "fail" if failed > 1 else "insufficient"
