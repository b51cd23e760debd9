"""Retention periods and the task that enforces each. The control room shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import ngettext


@dataclass(frozen=True, slots=True)
class Retention:
    """One kind of data: how long it is kept, the setting for it, and what enforces it."""

    name: str
    kept: str
    setting: str
    enforced_by: str


# The worker's tasks. One that is missing from WORKER_TASKS is shown as enforced by nobody.
_TASKS = {
    "events": "rollout.telemetry.retention.prune_events",
    "exports": "carecollective.privacy.exports.prune_exports",
    "backups": "carecollective.operations.backups.dumps.prune_backups",
    "sessions": "carecollective.accounts.services.prune_sessions_and_tokens",
    "tokens": "carecollective.accounts.services.prune_sessions_and_tokens",
    "sign_ins": "carecollective.privacy.retention.prune_failed_sign_ins",
    "mail": "carecollective.mail.delivery.prune_mail",
    "mail_files": "carecollective.mail.file_backend.prune_files",
}
FAILED_SIGN_INS_KEPT = timedelta(days=1)
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
    backups = settings.BACKUPS_KEPT
    return [
        Retention(
            _("Events of the rollout"),
            _days(timedelta(days=settings.EVENTS_RETENTION_DAYS)),
            "EVENTS_RETENTION_DAYS",
            _enforcer("events"),
        ),
        Retention(
            _("Copies of members' data"),
            _days(timedelta(days=settings.EXPORTS_KEPT_DAYS)),
            "EXPORTS_KEPT_DAYS",
            _enforcer("exports"),
        ),
        Retention(
            _("Backups"),
            ngettext("the newest %(count)d", "the newest %(count)d", backups) % {"count": backups},
            "BACKUPS_KEPT",
            _enforcer("backups"),
        ),
        Retention(
            _("Sessions"),
            _days(timedelta(seconds=settings.SESSION_COOKIE_AGE)),
            "SESSION_COOKIE_AGE",
            _enforcer("sessions"),
        ),
        Retention(
            _("Tokens"),
            _days(cast("timedelta", settings.REST_KNOX["TOKEN_TTL"])),
            "REST_KNOX TOKEN_TTL",
            _enforcer("tokens"),
        ),
        Retention(_("Failed sign-ins"), _days(FAILED_SIGN_INS_KEPT), _("fixed"), _enforcer("sign_ins")),
        Retention(_("Record of mail to members"), _days(MAIL_KEPT), _("fixed"), _enforcer("mail")),
        Retention(_("Mail in files, without a mail server"), _days(MAIL_KEPT), _("fixed"), _enforcer("mail_files")),
    ]


def _enforcer(kind: str) -> str:
    tasks = dict(settings.WORKER_TASKS)
    seconds = tasks.get(_TASKS[kind])
    if seconds is None:
        return _("nobody: the worker does not run %(task)s") % {"task": _TASKS[kind]}
    minutes = max(1, round(seconds / 60))
    return ngettext("the worker, every minute", "the worker, every %(count)d minutes", minutes) % {"count": minutes}


def _days(span: timedelta) -> str:
    return ngettext("%(count)d day", "%(count)d days", span.days) % {"count": span.days}
