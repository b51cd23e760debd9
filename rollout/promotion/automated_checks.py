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

from carecollective.core.database import discarding_changes, fetch_all
from carecollective.formats.moments import moment
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
    return passed("The site's role owns nothing and bypasses nothing, and every policy is in place.")


def check_backup() -> CheckResult:
    """Check that a backup in BACKUP_DIR is recent and was restored in a trial."""
    folder: Path = settings.BACKUP_DIR
    ((now,),) = fetch_all("SELECT clock_timestamp()")
    ages = sorted(
        ((now - finished_at).total_seconds() / 3600, was_restored) for finished_at, was_restored in _manifests(folder)
    )
    if not ages:
        return insufficient("There is no backup with a manifest yet.")
    recent = [(hours, was_restored) for hours, was_restored in ages if hours <= BACKUP_HOURS]
    restored = next((hours for hours, was_restored in recent if was_restored), None)
    if restored is not None:
        return passed(f"A backup is {restored:.1f} hours old and was restored to try it.")
    newest = f"The newest backup is {ages[0][0]:.1f} hours old"
    if not recent:
        return failed(f"{newest}; at most {BACKUP_HOURS} are allowed.")
    return insufficient(f"{newest}, and nobody has restored it yet.")


def check_flag() -> CheckResult:
    """Check that the flag's row exists."""
    state = snapshot.read_now()
    if state == NO_FLAG:
        # A migration made it once. A new row would have another salt, which moves members to other buckets.
        return failed("The flag's row is missing. Only a backup has it: manage.py restore.")
    if state.stage == DISABLED:
        return passed("The flag exists and is at disabled.")
    return passed(f"The flag exists; the rollout is under way at {state.stage}.")


def check_metrics() -> CheckResult:
    """Check that operations are recorded; after an hour without any, try to record one."""
    ((recent, last_at),) = fetch_all(RECENT_EVENTS)
    if recent:
        operations = "1 operation was" if recent == 1 else f"{recent} operations were"
        return passed(f"{operations} recorded in the last hour, the last at {moment(last_at, 'second')}.")
    refused = _try_recording()
    if refused:
        return failed(f"Nothing was recorded in the last hour, and a trial failed: {refused}.")
    return passed("Nobody started or sent anything in the last hour; a trial record was taken and removed.")


def check_alert_rules() -> CheckResult:
    """Check that there are rules, a guard that evaluates them, and a channel that took a test message."""
    rules = len(RULES)
    if not rules:
        return failed("No alert rules are loaded.")
    lease = read_lease()
    if lease is None or not lease.watching:
        return failed(f"{rules} rules are loaded, and no guard has evaluated them in the last minute.")
    states = [state for state in channel_states() if state.configured]
    if not states:
        return failed(no_channel())
    proven = [state.name for state in states if state.is_proven]
    if not proven:
        names = ", ".join(state.name for state in states)
        return insufficient(f"Alerts would go out by {names}. Send a test message and check that it arrived.")
    return passed(f"A guard evaluates {rules} rules. A test message arrived by {', '.join(proven)}.")


def no_channel() -> str:
    """Say that alerts reach nobody, and what to set."""
    return f"Nobody would be told of an alert: set {name_variables()}. Then send a test message."


def check_plan() -> CheckResult:
    """Check that the page on rolling back is there."""
    page = settings.BASE_DIR / PLAN
    if not page.is_file() or "rollout rollback" not in page.read_text():
        return failed(f"{PLAN} is missing or does not say how to roll back.")
    return passed(f"The plan is in {PLAN}.")


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
