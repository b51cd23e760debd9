"""What a program can find out about the readiness checklist by looking. Each finding only reads, and says what it saw."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from carecollective.core.database import taken_back
from carecollective.core.moments import moment
from carecollective.serving.startup_checks import find_dangers
from rollout.alerts.channels import name_variables
from rollout.alerts.notifications import channel_states
from rollout.alerts.rules import RULES
from rollout.models import EventLog
from rollout.stages import DISABLED
from rollout.targeting import snapshot
from rollout.targeting.guard_lease import read_lease
from rollout.targeting.state import MISSING as NO_FLAG

PASS, FAIL, INSUFFICIENT = "pass", "fail", "insufficient"
BACKUP_HOURS = 24
PLAN = Path("docs/operations/rollback.md")

MISSING = gettext_noop(
    "manage.py showmigrations tells whether a migration waits; then run manage.py migrate. "
    "If none waits, somebody removed it: restore a backup."
)

MISSING_PARTS = """
SELECT wanted.name FROM unnest(%(tables)s::text[]) AS wanted (name) WHERE to_regclass('public.' || wanted.name) IS NULL
UNION ALL
SELECT wanted.name FROM unnest(%(columns)s::text[]) AS wanted (name) WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname || '.' || a.attname = wanted.name AND NOT a.attisdropped)
UNION ALL
SELECT wanted.name FROM unnest(%(constraints)s::text[]) AS wanted (name) WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_constraint WHERE conname = wanted.name AND convalidated)
UNION ALL
SELECT wanted.name FROM unnest(%(indexes)s::text[]) AS wanted (name) WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = wanted.name AND i.indisvalid)
"""
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
    state: str  # pass, fail, insufficient
    words: str


_judges_of_schema: list[Callable[[], CheckResult]] = []


def judge_schema_with(judge: Callable[[], CheckResult]) -> None:
    """Leave the schema to an app above this one, which knows more of what was agreed."""
    _judges_of_schema[:] = [judge]


def find_schema() -> CheckResult:
    """Look for everything that V2's models promise, in the database's own catalogue."""
    for judge in _judges_of_schema:
        return judge()
    models = list(apps.get_app_config("messaging_v2").get_models())
    names: dict[str, list[str]] = {
        "tables": [model._meta.db_table for model in models],
        "columns": [
            f"{model._meta.db_table}.{field.column}" for model in models for field in model._meta.concrete_fields
        ],
        "constraints": [constraint.name for model in models for constraint in model._meta.constraints],
        "indexes": [index.name for model in models for index in model._meta.indexes],
    }
    with connection.cursor() as cursor:
        cursor.execute(MISSING_PARTS, names)
        missing = [name for (name,) in cursor.fetchall()]
    if missing:
        return CheckResult(
            FAIL, _("Missing: %(names)s. %(remedy)s") % {"names": ", ".join(missing), "remedy": _(MISSING)}
        )
    counted = {kind: len(found) for kind, found in names.items()}
    return CheckResult(
        PASS,
        _("%(tables)d tables with %(columns)d columns, %(constraints)d constraints, %(indexes)d indexes.") % counted,
    )


def find_policies() -> CheckResult:
    """Look for ways around row-level security, as the site does when it starts."""
    dangers = [danger.sentence for danger in find_dangers()]
    if dangers:
        return CheckResult(FAIL, dangers[0])
    return CheckResult(PASS, _("The site's role owns nothing and bypasses nothing, and every policy is in place."))


def find_backup() -> CheckResult:
    """Look for the newest manifest in BACKUP_DIR and judge its age by the database's clock."""
    folder: Path = settings.BACKUP_DIR
    now = _clock()
    ages = sorted(
        ((now - finished_at).total_seconds() / 3600, was_restored) for finished_at, was_restored in _manifests(folder)
    )
    if not ages:
        return CheckResult(INSUFFICIENT, _("There is no backup with a manifest yet."))
    recent = [(hours, was_restored) for hours, was_restored in ages if hours <= BACKUP_HOURS]
    restored = next((hours for hours, was_restored in recent if was_restored), None)
    if restored is not None:
        return CheckResult(
            PASS, _("A backup is %(hours).1f hours old and was restored to try it.") % {"hours": restored}
        )
    said = {"hours": ages[0][0], "limit": BACKUP_HOURS}
    if not recent:
        return CheckResult(FAIL, _("The newest backup is %(hours).1f hours old; at most %(limit)d are allowed.") % said)
    return CheckResult(
        INSUFFICIENT, _("The newest backup is %(hours).1f hours old, and nobody has restored it yet.") % said
    )


def find_flag() -> CheckResult:
    """Look at the flag's row: it must exist, and be at disabled as long as nobody has been let in."""
    state = snapshot.read_now()
    if state == NO_FLAG:
        # A migration made it once, with the salt that deals the members. Another row would deal them anew.
        return CheckResult(FAIL, _("The flag's row is missing. Only a backup has it: manage.py restore."))
    if state.stage == DISABLED:
        return CheckResult(PASS, _("The flag exists and is at disabled."))
    return CheckResult(PASS, _("The flag exists; the rollout is under way at %(stage)s.") % {"stage": state.stage})


def find_metrics() -> CheckResult:
    """Look for recorded operations; where nobody has done anything for an hour, try whether one could be recorded."""
    with connection.cursor() as cursor:
        cursor.execute(RECENT_EVENTS)
        recent, last_at = cursor.fetchone()
    if recent:
        words = ngettext(
            "%(count)d operation was recorded in the last hour, the last at %(last)s.",
            "%(count)d operations were recorded in the last hour, the last at %(last)s.",
            recent,
        )
        return CheckResult(PASS, words % {"count": recent, "last": moment(last_at, "second")})
    refused = _try_recording()
    if refused:
        return CheckResult(
            FAIL, _("Nothing was recorded in the last hour, and a trial failed: %(why)s.") % {"why": refused}
        )
    return CheckResult(
        PASS, _("Nobody started or sent anything in the last hour; a trial record was taken and removed.")
    )


def find_alert_rules() -> CheckResult:
    """Look for the rules, for a guard that evaluates them, and for a channel on which a test message arrived."""
    rules = len(RULES)
    if not rules:
        return CheckResult(FAIL, _("No alert rules are loaded."))
    lease = read_lease()
    if lease is None or not lease.watching:
        return CheckResult(
            FAIL,
            _("%(rules)d rules are loaded, and no guard has evaluated them in the last minute.") % {"rules": rules},
        )
    states = [state for state in channel_states() if state.configured]
    if not states:
        return CheckResult(FAIL, no_channel())
    proven = [state.name for state in states if state.is_proven]
    said = {"rules": rules, "names": ", ".join(proven or [state.name for state in states])}
    if not proven:
        return CheckResult(
            INSUFFICIENT, _("Alerts would go out by %(names)s. Send a test message and check that it arrived.") % said
        )
    return CheckResult(PASS, _("A guard evaluates %(rules)d rules. A test message arrived by %(names)s.") % said)


def no_channel() -> str:
    """Say that alerts reach nobody, and what to set."""
    said = _("Nobody would be told of an alert: set %(variables)s. Then send a test message.")
    return said % {"variables": name_variables()}


def find_plan() -> CheckResult:
    """Look for the page that says how to roll back."""
    page = settings.BASE_DIR / PLAN
    if not page.is_file() or "rollout rollback" not in page.read_text():
        return CheckResult(FAIL, _("%(page)s is missing or does not say how to roll back.") % {"page": PLAN})
    return CheckResult(PASS, _("The plan is in %(page)s.") % {"page": PLAN})


def _manifests(folder: Path) -> Iterator[tuple[datetime, bool]]:
    """Yield when each backup was finished and whether it was restored; a manifest that cannot be read counts for nothing."""
    for path in folder.glob("**/*manifest.json"):
        try:
            manifest: Any = json.loads(path.read_text())
            finished_at = parse_datetime(str(manifest["finished_at"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if finished_at is not None and finished_at.tzinfo is not None:
            yield finished_at, bool(manifest.get("restore_verified_at"))


def _clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def _try_recording() -> str:
    """Record an operation and take it back; return why that failed, or nothing."""
    try:
        with taken_back():
            EventLog.objects.create(**TRIAL, key=uuid4())
    except DatabaseError as error:
        return type(error.__cause__ or error).__name__
    return ""
