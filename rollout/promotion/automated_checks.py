"""The checks that a program makes for the readiness checklist. Each one only reads."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import DatabaseError
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from carecollective.core.database import discarding_changes, fetch_all
from carecollective.core.moments import moment
from carecollective.serving.startup_checks import find_dangers
from rollout.alerts.channels import name_variables
from rollout.alerts.notifications import channel_states
from rollout.alerts.rules import RULES
from rollout.gates.results import CheckState
from rollout.models import EventLog
from rollout.stages import DISABLED
from rollout.targeting import snapshot
from rollout.targeting.guard_lease import read_lease
from rollout.targeting.state import MISSING as NO_FLAG

BACKUP_HOURS = 24
PLAN = Path("docs/operations/rollback.md")

RECENT_EVENTS = """
SELECT count(*) FILTER (WHERE timestamp > clock_timestamp() - interval '1 hour'), max(timestamp)
FROM public.application_logs
"""
TRIAL = {
    "service": "Checklist",
    "method": "trial",
    "event": "success",
    "log_level": "info",
    "stage": "",
    "duration_ms": 0.0,
    "request_id": "",
}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found, in one sentence."""

    state: CheckState
    words: str


def passed(words: str) -> CheckResult:
    return CheckResult(CheckState.PASS, words)


def failed(words: str) -> CheckResult:
    return CheckResult(CheckState.FAIL, words)


def insufficient(words: str) -> CheckResult:
    return CheckResult(CheckState.INSUFFICIENT, words)


Check = Callable[[], CheckResult]
_registered: dict[str, Check] = {}


def register_check(name: str, check: Check) -> None:
    """Let an app above this one provide a check."""
    _registered[name] = check


def registered(name: str) -> Check:
    """Return the check that another app provides. It is looked up when it runs."""

    def run() -> CheckResult:
        return _registered[name]()

    return run


def check_policies() -> CheckResult:
    """Check that nothing gets around row-level security, as the site does when it starts."""
    dangers = [danger.sentence for danger in find_dangers()]
    if dangers:
        return failed(dangers[0])
    return passed(_("The site's role owns nothing and bypasses nothing, and every policy is in place."))


def check_backup() -> CheckResult:
    """Check that a backup in BACKUP_DIR is recent and was restored in a trial."""
    folder: Path = settings.BACKUP_DIR
    ((now,),) = fetch_all("SELECT clock_timestamp()")
    ages = sorted(
        ((now - finished_at).total_seconds() / 3600, was_restored) for finished_at, was_restored in _manifests(folder)
    )
    if not ages:
        return insufficient(_("There is no backup with a manifest yet."))
    recent = [(hours, was_restored) for hours, was_restored in ages if hours <= BACKUP_HOURS]
    restored = next((hours for hours, was_restored in recent if was_restored), None)
    if restored is not None:
        return passed(_("A backup is %(hours).1f hours old and was restored to try it.") % {"hours": restored})
    said = {"hours": ages[0][0], "limit": BACKUP_HOURS}
    if not recent:
        return failed(_("The newest backup is %(hours).1f hours old; at most %(limit)d are allowed.") % said)
    return insufficient(_("The newest backup is %(hours).1f hours old, and nobody has restored it yet.") % said)


def check_flag() -> CheckResult:
    """Check that the flag's row exists."""
    state = snapshot.read_now()
    if state == NO_FLAG:
        # A migration made it once. A new row would have another salt, which moves members to other buckets.
        return failed(_("The flag's row is missing. Only a backup has it: manage.py restore."))
    if state.stage == DISABLED:
        return passed(_("The flag exists and is at disabled."))
    return passed(_("The flag exists; the rollout is under way at %(stage)s.") % {"stage": state.stage})


def check_metrics() -> CheckResult:
    """Check that operations are recorded; after an hour without any, try to record one."""
    ((recent, last_at),) = fetch_all(RECENT_EVENTS)
    if recent:
        words = ngettext(
            "%(count)d operation was recorded in the last hour, the last at %(last)s.",
            "%(count)d operations were recorded in the last hour, the last at %(last)s.",
            recent,
        )
        return passed(words % {"count": recent, "last": moment(last_at, "second")})
    refused = _try_recording()
    if refused:
        return failed(_("Nothing was recorded in the last hour, and a trial failed: %(why)s.") % {"why": refused})
    return passed(_("Nobody started or sent anything in the last hour; a trial record was taken and removed."))


def check_alert_rules() -> CheckResult:
    """Check that there are rules, a guard that evaluates them, and a channel that took a test message."""
    rules = len(RULES)
    if not rules:
        return failed(_("No alert rules are loaded."))
    lease = read_lease()
    if lease is None or not lease.watching:
        return failed(
            _("%(rules)d rules are loaded, and no guard has evaluated them in the last minute.") % {"rules": rules},
        )
    states = [state for state in channel_states() if state.configured]
    if not states:
        return failed(no_channel())
    proven = [state.name for state in states if state.is_proven]
    said = {"rules": rules, "names": ", ".join(proven or [state.name for state in states])}
    if not proven:
        return insufficient(
            _("Alerts would go out by %(names)s. Send a test message and check that it arrived.") % said
        )
    return passed(_("A guard evaluates %(rules)d rules. A test message arrived by %(names)s.") % said)


def no_channel() -> str:
    """Say that alerts reach nobody, and what to set."""
    said = _("Nobody would be told of an alert: set %(variables)s. Then send a test message.")
    return said % {"variables": name_variables()}


def check_plan() -> CheckResult:
    """Check that the page on rolling back is there."""
    page = settings.BASE_DIR / PLAN
    if not page.is_file() or "rollout rollback" not in page.read_text():
        return failed(_("%(page)s is missing or does not say how to roll back.") % {"page": PLAN})
    return passed(_("The plan is in %(page)s.") % {"page": PLAN})


def _manifests(folder: Path) -> Iterator[tuple[datetime, bool]]:
    """Yield when each backup was finished and whether it was restored. Skip manifests that cannot be read."""
    for path in folder.glob("**/*manifest.json"):
        try:
            manifest: Any = json.loads(path.read_text())
            finished_at = parse_datetime(str(manifest["finished_at"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if finished_at is not None and finished_at.tzinfo is not None:
            yield finished_at, bool(manifest.get("restore_verified_at"))


def _try_recording() -> str:
    """Record an operation and take it back. Return why that failed, or an empty string."""
    try:
        with discarding_changes():
            EventLog.objects.create(**TRIAL, key=uuid4())
    except DatabaseError as error:
        return type(error.__cause__ or error).__name__
    return ""
