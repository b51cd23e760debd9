"""A member leaves for good: their row is scrubbed in place, their words give way to one sentence, the others' words stay."""

import logging
from typing import Any
from uuid import UUID

from axes.models import AccessAttempt
from django.contrib.auth import SESSION_KEY, authenticate
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.accounts.services import get_member_managed_by
from carecollective.core import erasure_ledger
from carecollective.core.database import ClockTimestamp, acting_as
from carecollective.core.errors import DomainError, ValidationRefused
from carecollective.core.text import can_be_kept
from carecollective.mail.file_backend import delete_files_about
from carecollective.mail.models import OutgoingMail
from carecollective.mail.queue import cancel_mail
from carecollective.privacy.models import Erasure

logger = logging.getLogger(__name__)

# Longer than any request lasts: what was on its way when the member left has arrived by then, and is swept up.
SWEEP_AFTER_SECONDS = 120


class LastAdministrator(DomainError):
    code = "permission_denied"
    message = _("You are the last administrator. Please make somebody else one first.")


def erase_self(*, request: HttpRequest, actor: User, password: Any) -> None:
    """Erase the acting member, who confirms with their password. Wrong ones count towards the lock-out of signing in.

    Who has left already, by a second click at the same moment, has left. Raises ValidationRefused naming `password`;
    LastAdministrator.
    """
    known = isinstance(password, str) and password and can_be_kept(password)
    if not known or authenticate(request, username=actor.email, password=password) != actor:
        if not has_left(actor.pk):
            raise ValidationRefused({"password": [_("This is not your password. Nothing was deleted.")]})
        # No address of theirs stays, with the failed sign-ins neither.
        AccessAttempt.objects.filter(username=actor.email).delete()
        return
    _erase(actor=actor, member=actor)


def has_left(member_id: UUID | None) -> bool:
    """Tell whether a member was erased."""
    return member_id is not None and Erasure.objects.filter(pk=member_id).exists()


def erase_for_member(*, actor: User, member_id: UUID) -> None:
    """Erase a member who asked staff for it.

    Raises NotPermitted unless the actor is staff, and for members of staff unless they are an administrator; DomainNotFound;
    LastAdministrator.
    """
    _erase(actor=actor, member=get_member_managed_by(actor, member_id))


def sweep() -> int:
    """Erase again what members who left had still on its way; return how many were looked after. The worker's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT member_id FROM privacy_erasure WHERE swept_at IS NULL"
            " AND erased_at < clock_timestamp() - make_interval(secs => %s) ORDER BY erased_at LIMIT 20",
            [SWEEP_AFTER_SECONDS],
        )
        members = [row[0] for row in cursor.fetchall()]
    for member in User.objects.filter(pk__in=members):
        with acting_as(member):
            scrub(member.pk)
            cancel_mail(member.pk)
            _delete_mail_files(member.pk)
            Erasure.objects.filter(pk=member.pk).update(swept_at=ClockTimestamp())
    return len(members)


def keep_ledger() -> int:
    """Make the ledger beside the backups and the database agree on who was erased; return how many lacked in either.

    Members whom only the ledger knows are back from a restore: they are erased again. The worker's.
    """
    recorded = dict(Erasure.objects.values_list("pk", "erased_at"))
    back = erasure_ledger.read().keys() - recorded.keys()
    added = 0
    try:
        # With nobody in it too: a restore then knows that nobody left.
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
            # Held, so that the last two do not leave at the same moment.
            others = User.objects.select_for_update(no_key=True).filter(is_superuser=True, is_active=True)
            if not [other for other in others.order_by("pk") if other.pk != member.pk]:
                raise LastAdministrator
        scrub(member.pk)
        cancel_mail(member.pk)
        # Not before it is certain, and not in a rehearsal that is taken back.
        transaction.on_commit(lambda: _note_in_ledger(member.pk))
    _delete_sessions(member.pk)
    _delete_mail_files(member.pk, address=member.email)


def scrub(member_id: UUID) -> None:
    """Empty the member's row and all that they wrote, as the acting member; the database decides whether they may."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT public.privacy_erase_member(%s)", [member_id])


def _note_in_ledger(member_id: UUID) -> None:
    """Write an erasure down beside the backups. The worker makes up for what could not be written."""
    try:
        erasure_ledger.append(dict(Erasure.objects.filter(pk=member_id).values_list("pk", "erased_at")))
    except (OSError, DatabaseError) as problem:
        logger.warning("An erasure could not be noted in the ledger (%s); the worker does it.", type(problem).__name__)


def _delete_mail_files(member_id: UUID, *, address: str | None = None) -> None:
    """Delete what a site without a mail server has written to the member, or about their address."""
    mails = OutgoingMail.objects.filter(recipient=member_id).values_list("pk", flat=True)
    delete_files_about(address=address, ids=[member_id, *mails])


def _delete_sessions(member_id: UUID) -> None:
    """Delete the member's sessions, which end nothing more: the row signs nobody in.

    They are sealed, so each is opened to see whose it is; nobody waits for that, as they would within the erasure.
    """
    wanted = str(member_id)
    sessions = Session.objects.order_by("pk").iterator(chunk_size=500)
    theirs = [session.pk for session in sessions if session.get_decoded().get(SESSION_KEY) == wanted]
    Session.objects.filter(pk__in=theirs).delete()
