"""Take a reply by mail into its conversation, by the service that the page calls, or tell its writer why not."""

import logging
from datetime import timedelta
from enum import Enum
from uuid import UUID, uuid5

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.accounts.preferences.services import read_preferences
from carecollective.core.database import ClockTimestamp, acting_as, execute
from carecollective.core.errors import DomainError, InvalidInput
from carecollective.core.text import can_be_kept
from carecollective.inbox.models import ConversationMail, RefusedReply
from carecollective.inbox.replies.addresses import find_conversation, is_expired, is_reply_address_of
from carecollective.inbox.replies.parsing import IncomingMail, parse_mail
from carecollective.inbox.services import send_message
from carecollective.mail.models import OutgoingMail
from carecollective.mail.queue import queue_mail
from carecollective.messaging.errors import IdempotencyConflict

logger = logging.getLogger(__name__)

REPLY_REFUSED = "reply_refused"
# More of them in an hour are the work of a program.
REFUSALS_PER_HOUR = 5
REFUSALS_WITHIN = timedelta(hours=1)
# What is quoted of a text that could not be taken.
QUOTED_MAX = 5000

# The mail showed these words, so whoever answers it has read them.
_MARK_TOLD_AS_READ = """
INSERT INTO inbox_readpointer (member_id, conversation_id, read_to)
SELECT member_id, conversation_id, told_to FROM inbox_conversationmail
WHERE member_id = %(member)s AND conversation_id = %(conversation)s AND told_to IS NOT NULL
ON CONFLICT (member_id, conversation_id) DO UPDATE SET read_to = excluded.read_to
WHERE inbox_readpointer.read_to IS NULL OR inbox_readpointer.read_to < excluded.read_to
"""


class Received(Enum):
    """What became of a mail that came in."""

    POSTED = "posted"
    REPEATED = "repeated"
    IGNORED = "ignored"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class ReplyExpired(InvalidInput):
    message = _("The address of your answer was valid for thirty days, and they are over.")


class ReplyEmpty(InvalidInput):
    message = _(
        "We found no words of yours in it. Please answer this mail: write above what your program quotes, and leave that as it "
        "is."
    )


def receive_mail(raw: bytes, *, recipient: str = "") -> Received:
    """Post the reply that a mail holds; once, however often it is delivered.

    It must come from the member's own address and go to an address that was made for them: a forwarded mail opens nothing.
    What the page would refuse is refused here, in a mail that quotes the text. Raises django.db.Error without a database.
    """
    mail = parse_mail(raw)
    if mail.is_automatic:
        return Received.IGNORED
    address = next((one for one in (recipient, *mail.recipients) if find_conversation(one)), "")
    conversation_id = find_conversation(address)
    member = User.objects.filter(email=mail.sender, is_active=True).first() if can_be_kept(mail.sender) else None
    if conversation_id is None or member is None or not is_reply_address_of(address, member.pk):
        return Received.UNKNOWN
    key = uuid5(conversation_id, mail.key.encode("utf-8", "replace").decode())
    try:
        if is_expired(address):
            raise ReplyExpired
        if not mail.words:
            raise ReplyEmpty
        sent = send_message(actor=member, conversation_id=conversation_id, content=mail.words, message_id=key)
    except IdempotencyConflict:
        return Received.REPEATED
    except DomainError as refusal:
        return _refuse(member, conversation_id, key, mail, refusal)
    _note_visit(member, conversation_id)
    return Received.POSTED if sent.is_new else Received.REPEATED


def _note_visit(member: User, conversation_id: UUID) -> None:
    """Let the next message be mailed again: whoever answers has seen the mail about the last ones."""
    if read_preferences(member.pk).shows_words:
        execute(_MARK_TOLD_AS_READ, {"member": member.pk, "conversation": conversation_id})
    ConversationMail.objects.filter(member=member, conversation_id=conversation_id).update(told_to=None)


def _refuse(member: User, conversation_id: UUID, key: UUID, mail: IncomingMail, refusal: DomainError) -> Received:
    """Keep the text until the mail that quotes it has gone out. A mail that is delivered again is refused once."""
    told = OutgoingMail.objects.filter(recipient=member, kind=REPLY_REFUSED)
    if told.filter(reference=str(key)).exists():
        return Received.REPEATED
    lately = told.filter(created_at__gt=ClockTimestamp() - REFUSALS_WITHIN).count()
    if lately >= REFUSALS_PER_HOUR:
        logger.warning("Replies by mail of one member are refused again and again; this one is not answered.")
        return Received.IGNORED
    with transaction.atomic(), acting_as(member):
        queue_mail(REPLY_REFUSED, member.pk, reference=str(key))
        waiting = OutgoingMail.objects.get(recipient=member, kind=REPLY_REFUSED, reference=str(key))
        RefusedReply.objects.create(
            mail=waiting,
            member=member,
            conversation_id=conversation_id,
            content=mail.words[:QUOTED_MAX],
            reason=str(refusal.message),
        )
    return Received.REFUSED
