"""Erase a member for good: their row is emptied, their texts are replaced, and what others wrote stays."""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from axes.models import AccessAttempt
from django.contrib.auth import authenticate
from django.db import DatabaseError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import MemberSession, User
from carecollective.accounts.preferences.services import clear_preferences
from carecollective.accounts.services import get_member_managed_by
from carecollective.core import erasure_ledger
from carecollective.core.database import ClockTimestamp, acting_as, execute
from carecollective.core.errors import DomainError, ValidationRefused
from carecollective.core.text import can_be_kept
from carecollective.mail.file_backend import delete_files_about
from carecollective.mail.models import OutgoingMail
from carecollective.mail.queue import cancel_mail
from carecollective.privacy.models import Erasure

logger = logging.getLogger(__name__)

# Longer than any request: what was in progress during the erasure has been written by then.
SWEEP_AFTER_SECONDS = 120


class LastAdministrator(DomainError):
    code = "permission_denied"
    message = _("You are the last administrator. Please make somebody else one first.")


def erase_self(*, request: HttpRequest, actor: User, password: Any) -> None:
    """Erase the acting member, who confirms with their password. A wrong one counts as a failed sign-in.

    Does nothing if a second click at the same moment has erased them already. Raises ValidationRefused naming `password`,
    and LastAdministrator.
    """
    is_text = isinstance(password, str) and password and can_be_kept(password)
    if not is_text or authenticate(request, username=actor.email, password=password) != actor:
        if not has_left(actor.pk):
            raise ValidationRefused({"password": [_("This is not your password. Nothing was deleted.")]})
        # Their address must not stay with the failed sign-ins.
        AccessAttempt.objects.filter(username=actor.email).delete()
        return
    _erase(actor=actor, member=actor)


def has_left(member_id: UUID | None) -> bool:
    """Return whether a member was erased."""
    return member_id is not None and Erasure.objects.filter(pk=member_id).exists()


def erase_for_member(*, actor: User, member_id: UUID) -> None:
    """Erase a member who asked staff for it.

    Raises NotPermitted unless the actor is staff, and for members of staff unless they are an administrator; DomainNotFound;
    LastAdministrator.
    """
    _erase(actor=actor, member=get_member_managed_by(actor, member_id))


def sweep() -> int:
    """Erase again what was in progress while members were erased; return how many members. For the worker."""
    before = ClockTimestamp() - timedelta(seconds=SWEEP_AFTER_SECONDS)
    due = Erasure.objects.filter(swept_at=None, erased_at__lt=before).select_related("member").order_by("erased_at")
    members = [erasure.member for erasure in due[:20]]
    for member in members:
        with acting_as(member):
            scrub(member.pk)
            cancel_mail(member.pk)
            _delete_mail_files(member.pk)
            Erasure.objects.filter(pk=member.pk).update(swept_at=ClockTimestamp())
    return len(members)


def keep_ledger() -> int:
    """Bring the erasure ledger and the database into agreement; return how many members one of them lacked.

    Members who are only in the ledger came back by a restore, and are erased again. For the worker.
    """
    recorded = dict(Erasure.objects.values_list("pk", "erased_at"))
    back = erasure_ledger.read().keys() - recorded.keys()
    added = 0
    try:
        # Also with nobody to add: the file tells a restore that nobody was erased.
        added = erasure_ledger.append(recorded)
    except OSError as problem:
        if recorded:
            logger.error("The ledger of erased members cannot be written: %s.", problem)
    members = User.objects.filter(pk__in=back)
    for member in members:
        _erase(actor=member, member=member, may_be_the_last=True)
    return added + len(members)


def _erase(*, actor: User, member: User, may_be_the_last: bool = False) -> None:
    with acting_as(actor):
        if member.is_superuser and not may_be_the_last:
            # Locked, so that the last two cannot leave at the same moment.
            others = User.objects.select_for_update(no_key=True).filter(is_superuser=True, is_active=True)
            if not [other for other in others.order_by("pk") if other.pk != member.pk]:
                raise LastAdministrator
        scrub(member.pk)
        cancel_mail(member.pk)
        # After the commit: the takeover rehearses erasures and rolls them back.
        transaction.on_commit(lambda: _note_in_ledger(member.pk))
    _delete_sessions(member.pk)
    _delete_mail_files(member.pk, address=member.email)


def scrub(member_id: UUID) -> None:
    """Empty the member's row and texts, as the acting member. The database decides whether they may."""
    execute("SELECT public.privacy_erase_member(%s)", [member_id])
    clear_preferences(member_id)


def _note_in_ledger(member_id: UUID) -> None:
    """Add an erasure to the ledger. What cannot be written now, the worker writes later."""
    try:
        erasure_ledger.append(dict(Erasure.objects.filter(pk=member_id).values_list("pk", "erased_at")))
    except (OSError, DatabaseError) as problem:
        logger.warning("An erasure could not be noted in the ledger (%s); the worker does it.", type(problem).__name__)


def _delete_mail_files(member_id: UUID, *, address: str | None = None) -> None:
    """Delete the mail files to the member and those that name their address."""
    mails = OutgoingMail.objects.filter(recipient=member_id).values_list("pk", flat=True)
    delete_files_about(address=address, ids=[member_id, *mails])


def _delete_sessions(member_id: UUID) -> None:
    """Delete the member's sessions. They are useless already: the erased row signs nobody in."""
    MemberSession.objects.filter(member_id=member_id).delete()
