"""Retention periods and the task that enforces each. The control room shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from django.conf import settings
from django.db import connection


@dataclass(frozen=True, slots=True)
class Retention:
    """One kind of data: how long it is kept, the setting for it, and what enforces it."""

    name: str
    kept: str
    setting: str
    enforced_by: str


FAILED_SIGN_INS_KEPT = timedelta(days=1)
CONTACT_MESSAGES_KEPT = timedelta(days=180)
# The record of mail, and, without a mail server, the mail itself.
MAIL_KEPT = timedelta(days=30)


def periods() -> Mapping[str, int]:
    """Return the periods, in days, that functions in the database enforce."""
    return {"events": settings.EVENTS_RETENTION_DAYS, "exports": settings.EXPORTS_KEPT_DAYS}


def save_periods() -> None:
    """Write the periods to the table that the database functions read. Only the owner of the tables may."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO public.core_retentionperiod (kind, days) VALUES (%s, %s)"
            " ON CONFLICT (kind) DO UPDATE SET days = excluded.days",
            list(periods().items()),
        )


def read() -> Sequence[Retention]:
    """Return the retention of each kind of data, in words. Needs no database."""
    sessions = timedelta(seconds=settings.SESSION_COOKIE_AGE)
    tokens = cast("timedelta", settings.REST_KNOX["TOKEN_TTL"])
    events, exports = timedelta(days=settings.EVENTS_RETENTION_DAYS), timedelta(days=settings.EXPORTS_KEPT_DAYS)
    prune_sign_ins = "carecollective.accounts.services.prune_sessions_and_tokens"
    fixed = "fixed"
    kinds = (
        ("Events of the rollout", _days(events), "EVENTS_RETENTION_DAYS", "rollout.telemetry.retention.prune_events"),
        (
            "Copies of members' data",
            _days(exports),
            "EXPORTS_KEPT_DAYS",
            "carecollective.privacy.exports.prune_exports",
        ),
        (
            "Backups",
            f"the newest {settings.BACKUPS_KEPT}",
            "BACKUPS_KEPT",
            "carecollective.operations.backups.dumps.prune_backups",
        ),
        ("Sessions", _days(sessions), "SESSION_COOKIE_AGE", prune_sign_ins),
        ("Tokens", _days(tokens), "REST_KNOX TOKEN_TTL", prune_sign_ins),
        (
            "Failed sign-ins",
            _days(FAILED_SIGN_INS_KEPT),
            fixed,
            "carecollective.privacy.retention.prune_failed_sign_ins",
        ),
        ("Record of mail to members", _days(MAIL_KEPT), fixed, "carecollective.mail.delivery.prune_mail"),
        ("Messages to staff", _days(CONTACT_MESSAGES_KEPT), fixed, "carecollective.contact.services.prune_messages"),
        (
            "Mail in files, without a mail server",
            _days(MAIL_KEPT),
            fixed,
            "carecollective.mail.file_backend.prune_files",
        ),
    )
    return [Retention(name, kept, setting, _enforcer(task)) for name, kept, setting, task in kinds]


def _enforcer(task: str) -> str:
    seconds = dict(settings.WORKER_TASKS).get(task)
    if seconds is None:
        return f"nobody: the worker does not run {task}"
    minutes = max(1, round(seconds / 60))
    return "the worker, every minute" if minutes == 1 else f"the worker, every {minutes} minutes"


def _days(span: timedelta) -> str:
    return "1 day" if span.days == 1 else f"{span.days} days"
