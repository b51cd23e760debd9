"""Write to staff, and mark what was written as answered."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from psycopg.errors import UniqueViolation

from carecollective.accounts.letters.staff import queue_for_staff, refuse_disturbing
from carecollective.accounts.models import User
from carecollective.accounts.services import require_staff
from carecollective.contact.models import NAME_MAX, TEXT_MAX, ContactMessage
from carecollective.core.database import ClockTimestamp, acting_as
from carecollective.core.errors import ValidationRefused
from carecollective.core.rate_limits import Limit, count_client_use
from carecollective.core.retention import CONTACT_MESSAGES_KEPT
from carecollective.core.text import EMAIL_MAX, read_text
from carecollective.core.waiting import Waiting, WaitingQuery, measure_waiting, when_they_came
from carecollective.mail.letters import Action, Letter
from carecollective.mail.topics import Topic

MESSAGES_PER_HOUR = Limit("contact", 5, timedelta(hours=1))
WAITING_MAIL = "contact_messages"


def write_to_staff(
    *, request: HttpRequest, member: User | None, name: Any, email: Any, text: Any, key: UUID | None = None
) -> None:
    """Keep a message to staff; the worker tells them by mail. A member's name and address are those of the account.

    With the `key` of a form, it is kept and counted once however often the form is sent. Raises ValidationRefused naming each
    field that cannot be taken; RateLimitExceeded after five in an hour from one IP address.
    """
    refused: dict[str, list[Any]] = {}
    if member is None:
        name = read_text(name, field="name", longest=NAME_MAX, refused=refused, as_one_line=True)
        if not name:
            refused.setdefault("name", [_("Please tell us your name.")])
        email = read_text(email, field="email", longest=EMAIL_MAX, refused=refused, as_one_line=True)
        try:
            validate_email(email)
        except ValidationError:
            refused.setdefault("email", [_("Please check the address. We need it to answer you.")])
    else:
        name, email = member.name, member.email or ""
    text = read_text(text, field="text", longest=TEXT_MAX, refused=refused)
    if not text:
        refused.setdefault("text", [_("Please write a few words.")])
    if refused:
        raise ValidationRefused(refused)
    with acting_as(member) if member else transaction.atomic():
        message = ContactMessage(pk=key or uuid4(), member=member, name=name, email=email, text=text)
        try:
            with transaction.atomic():
                message.save(force_insert=True)
        except IntegrityError as error:
            if not isinstance(error.__cause__, UniqueViolation):
                raise
            # The same form was sent before.
            return
        count_client_use(request=request, limit=MESSAGES_PER_HOUR)


def queue_messages_waiting() -> int:
    """Tell staff that messages wait; return how many were told. For the worker."""
    return queue_for_staff(WAITING_MAIL, Topic.REPORTS, lambda member: read_messages_waiting(reader=member).newest)


def compose_messages_waiting(member_id: UUID) -> Letter | None:
    """Write the mail to a member of staff; None once every message is answered."""
    member = User.objects.get(pk=member_id)
    if not refuse_disturbing(member_id, Topic.REPORTS):
        return None
    count = read_messages_waiting(reader=member).count
    if not count:
        return None
    said = ngettext("%(count)d message to staff waits", "%(count)d messages to staff wait", count) % {"count": count}
    address = f"{settings.SITE_ADDRESS}{reverse('admin:contact_contactmessage_changelist')}"
    return Letter(
        said,
        [
            _("%(said)s. Who writes hopes for an answer by e-mail within a day or two.") % {"said": said},
            Action(_("Read and answer"), address),
        ],
        name=member.name,
    )


def read_messages_waiting(*, reader: User) -> Waiting:
    """Measure the messages that nobody has answered. Raises NotPermitted unless the reader is staff."""
    require_staff(reader)
    with acting_as(reader):
        return measure_waiting(messages_waiting())


def messages_waiting() -> WaitingQuery:
    """Ask for the messages that nobody has answered. Only staff have any."""
    return when_they_came(ContactMessage.objects.filter(answered_at=None))


def mark_answered(*, actor: User, message_ids: Collection[UUID]) -> int:
    """Record that these were answered; return how many were not before. Raises NotPermitted unless the actor is staff."""
    require_staff(actor)
    with acting_as(actor):
        waiting = ContactMessage.objects.filter(pk__in=message_ids, answered_at=None)
        return waiting.update(answered_at=ClockTimestamp(), answered_by=actor)


def prune_messages() -> int:
    """Delete messages older than 180 days; return how many. For the worker."""
    return ContactMessage.objects.filter(created_at__lt=ClockTimestamp() - CONTACT_MESSAGES_KEPT).delete()[0]
