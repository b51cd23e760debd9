"""Exports of a member's own data: requested on a page, made by the worker, kept for some days."""

import logging
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from carecollective.accounts.models import User
from carecollective.accounts.services import require_staff
from carecollective.core.database import ClockTimestamp, acting_as, fetch_all
from carecollective.core.errors import DomainNotFound
from carecollective.mail.letters import Action, Letter
from carecollective.mail.queue import queue_mail
from carecollective.privacy.archive import build_archive
from carecollective.privacy.models import UNDER_WAY, Export, ExportFile, ExportState

logger = logging.getLogger(__name__)

ATTEMPTS = 3
EXPORT_READY = "export_ready"


def request_export(*, actor: User) -> Export:
    """Request an export of one's own data. While one is under way, return that one."""
    return _request(actor=actor, member=actor)


def request_export_for_member(*, actor: User, member_id: UUID) -> Export:
    """Request an export for a member who asked staff. Only the member can download it, and gets a mail.

    Raises NotPermitted unless the actor is staff; DomainNotFound.
    """
    require_staff(actor)
    member = User.objects.filter(pk=member_id, is_active=True).first()
    if member is None:
        raise DomainNotFound
    return _request(actor=actor, member=member)


def newest_export(*, member: User) -> Export | None:
    """Return the member's latest export, in any state."""
    with acting_as(member):
        return Export.objects.filter(member=member).order_by("-requested_at", "-pk").first()


def read_export(*, reader: User, export_id: UUID) -> bytes:
    """Return the reader's own finished export. Raises DomainNotFound, also for the export of somebody else."""
    with acting_as(reader):
        file = ExportFile.objects.filter(export=export_id, member=reader).first()
    if file is None:
        raise DomainNotFound
    return bytes(file.content)


def prepare_waiting() -> int:
    """Make the exports that wait or that a killed worker left; return how many were finished. For the worker."""
    waiting = fetch_all("SELECT id, member_id FROM public.privacy_exports_under_way()")
    members = User.objects.in_bulk([member_id for _export_id, member_id in waiting])
    return sum(_prepare(export_id, members[member_id]) for export_id, member_id in waiting)


def prune_exports() -> int:
    """Delete the exports past their retention period; return how many. For the worker."""
    return int(fetch_all("SELECT public.privacy_prune_exports()")[0][0])


def _request(*, actor: User, member: User) -> Export:
    with acting_as(actor):
        try:
            with transaction.atomic():
                return Export.objects.create(member=member, requested_by=actor)
        except IntegrityError:
            return Export.objects.filter(member=member, state__in=UNDER_WAY).get()


def _prepare(export_id: UUID, member: User) -> bool:
    export = _begin(export_id, member)
    if export is None:
        return False

    def on_progress(done: int, total: int) -> None:
        _update(export_id, member, done=done, total=total)

    try:
        content = build_archive(member=member, on_progress=on_progress)
    except Exception as failure:  # noqa: BLE001 -- one export that fails must not stop the others
        # Only the type is logged: the message may quote the data.
        logger.warning("An export could not be put together (%s).", type(failure).__name__)
        _update(export_id, member, state=ExportState.FAILED if export.attempts >= ATTEMPTS else ExportState.WAITING)
        return False
    with acting_as(member):
        # Locked and read again: an erasure may have deleted the export meanwhile.
        if Export.objects.filter(pk=export.pk).select_for_update().first() is None:
            return False
        ExportFile.objects.create(export=export, member=member, content=content)
        _update(export_id, member, state=ExportState.READY, ready_at=ClockTimestamp())
        if export.requested_by_id != member.pk:
            queue_mail(EXPORT_READY, member.pk)
    return True


def compose_export_ready(member_id: UUID) -> Letter | None:
    """Write the mail about an export that staff requested; None when the export is gone."""
    member = User.objects.filter(pk=member_id).first()
    if member is None:
        return None
    with acting_as(member):
        if not Export.objects.filter(member=member, state=ExportState.READY).exists():
            return None
    return Letter(
        _("Your data is ready at Care Collective"),
        [
            _("The copy of your data is ready. You can download it from your account page."),
            Action(_("Open your account page"), f"{settings.SITE_ADDRESS}{reverse('account')}"),
            _("It is kept for %(days)d days, and nobody but you can open it.") % {"days": settings.EXPORTS_KEPT_DAYS},
        ],
        name=member.name,
    )


def _begin(export_id: UUID, member: User) -> Export | None:
    """Count an attempt and return the export; None if it is gone or has no attempt left."""
    with acting_as(member):
        export = Export.objects.filter(pk=export_id).first()
        if export is None:
            return None
        if export.attempts >= ATTEMPTS:
            _update(export_id, member, state=ExportState.FAILED)
            return None
        export.attempts += 1
        _update(export_id, member, state=ExportState.WORKING, attempts=export.attempts, done=0, total=None)
        return export


def _update(export_id: UUID, member: User, **values: Any) -> None:
    with acting_as(member):
        Export.objects.filter(pk=export_id).update(**values)
