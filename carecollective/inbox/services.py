"""Starting, answering and going on: the one place that chooses between the two versions."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.accounts.services import require_approved
from carecollective.core import rate_limits
from carecollective.core.database import acting_as
from carecollective.core.errors import InvalidInput
from carecollective.inbox.models import ContinuationRequest, NotificationKind
from carecollective.inbox.notifications.queue import count_and_notify, notify
from carecollective.inbox.queries import PAIR
from carecollective.inbox.records import ReadOnlyReason, Sent, Started, WayOn
from carecollective.inbox.selectors import (
    for_tables_at_hand,
    is_said_in,
    locate,
    open_thread,
)
from carecollective.inbox.shapes import legacy_message_record, message_record
from carecollective.messaging.errors import (
    ConversationExists,
    ConversationInactive,
    ConversationNotFound,
    MessagingUnavailable,
)
from carecollective.messaging.offers import lock_and_check_offer
from carecollective.messaging.statements import News
from messaging_v1.services import legacy_message_sent_before, send_legacy_message, start_legacy_conversation
from messaging_v2.services import open_conversation, send_message_v2
from messaging_v2.statements import PAIR_V2
from rollout.promotion.drain import enter_v2_start
from rollout.stages import ENABLED
from rollout.targeting import snapshot
from rollout.targeting.cohort import decision_for, nobody_can_start, v1_writes_are_on, v2_is_installed
from rollout.telemetry.events import measured
from rollout.telemetry.outcomes import Event, Method
from rollout.versions import MessagingVersion

FROZEN = _("The old messaging takes no new messages. Your conversation continues in the new messaging.")
NEW_CONVERSATIONS_PAUSED = _(
    "New conversations are paused for you at the moment. Nothing was sent; please try again later."
)
PAUSED_FOR_ALL = _(
    "Messaging is paused for everybody right now. It is not your fault, and we have been told. "
    "Nothing was sent; please keep your words and try again a little later."
)


class ThreadFrozen(MessagingUnavailable):
    """A legacy thread takes no new messages. `way_on` is what the member can do instead; waiting helps only without it."""

    message = FROZEN

    def __init__(self, *, way_on: WayOn | None, continued_as: UUID | None, may_thaw: bool) -> None:
        self.way_on = way_on
        self.continued_as = continued_as
        super().__init__(retry_after=300 if may_thaw and way_on is None else 0)


class _LeftV2(Exception):
    """V2 was turned off after the version of a start was decided."""

    def __init__(self, version: MessagingVersion | None) -> None:
        self.version = version


class CannotContinue(InvalidInput):
    message = _("This conversation cannot be continued in the new messaging.")


def offer_help(*, actor: User, help_request_id: UUID, initial_message: Any) -> Started:
    """Open a conversation about a request, in the version that the rollout decides for the helper.

    Raises what `lock_and_check_offer` raises, ConversationExists for a conversation of either version; then
    MessagingUnavailable when neither version takes new conversations of this member; then RateLimitExceeded.
    """
    with measured(method=Method.START, member=actor, help_request_id=help_request_id) as operation:
        known = snapshot.current()
        operation.version = decision_for(actor, known).version
        with acting_as(actor, commits_with_last=True):
            offer = {
                "help_request_id": help_request_id,
                "initial_message": initial_message,
                "pair": for_tables_at_hand(PAIR),
            }
            entered = enter_v2_start(member=actor, known=known) if operation.version is MessagingVersion.V2 else None
            try:
                started = _open(actor, operation.version, entered, **offer)
            except _LeftV2 as left:
                started = _open(actor, left.version, **offer)
        operation.version, operation.conversation_id = started.version, started.conversation_id
        return started


def continue_in_v2(*, actor: User, conversation_id: UUID, initial_message: Any) -> Started:
    """Go on with a frozen legacy conversation in the new messaging, about the same request; its helper may.

    Raises ConversationNotFound; CannotContinue unless the conversation is frozen, its request open and the actor its helper;
    ConversationExists once continued; MessagingUnavailable while the helper is outside the cohort; and what offering raises.
    """
    with measured(method=Method.START, member=actor) as operation:
        known = snapshot.current()
        operation.version = decision_for(actor, known).version
        with acting_as(actor):
            thread = open_thread(reader=actor, conversation_id=conversation_id, mark_read=False)
            operation.help_request_id = thread.help_request.id if thread.help_request else None
            if thread.way_on is WayOn.CONTINUED and thread.continued_as:
                raise ConversationExists(conversation_id=thread.continued_as, version=MessagingVersion.V2)
            if thread.way_on is not WayOn.CONTINUE or thread.help_request is None:
                raise CannotContinue
            # V2 may be turned off between `decision_for` and `enter_v2_start`.
            in_v2 = (
                operation.version is MessagingVersion.V2
                and enter_v2_start(member=actor, known=known)() is MessagingVersion.V2
            )
            if not in_v2:
                raise MessagingUnavailable(_why_paused())
            offer = {"help_request_id": thread.help_request.id, "initial_message": initial_message, "pair": PAIR_V2}
            started = _open(actor, MessagingVersion.V2, **offer)
        operation.conversation_id = started.conversation_id
        return started


def ask_to_continue(*, actor: User, conversation_id: UUID) -> None:
    """Ask the helper of a frozen legacy conversation to go on in the new messaging; its requester may, and asking twice is once.

    Raises NotApproved; ConversationNotFound; CannotContinue.
    """
    with acting_as(actor):
        thread = open_thread(reader=actor, conversation_id=conversation_id, mark_read=False)
        require_approved(actor)
        helper_id = thread.conversation.helper_id
        if thread.way_on is WayOn.ASKED:
            return
        if thread.way_on is not WayOn.ASK or helper_id is None:
            raise CannotContinue
        _wish, is_new = ContinuationRequest.objects.get_or_create(
            legacy_conversation_id=conversation_id, defaults={"requester": actor}
        )
        if is_new:
            notify(
                recipient_id=helper_id,
                conversation_id=conversation_id,
                version=MessagingVersion.V1,
                kind=NotificationKind.ASKED_TO_CONTINUE,
            )


def send_message(
    *,
    actor: User,
    conversation_id: UUID,
    content: Any,
    message_id: UUID | None = None,
    last_sent: UUID | None = None,
) -> Sent:
    """Add a message to a conversation, in the version it was born with.

    With `last_sent`, the same words as in that message of the actor's are that message: nothing is stored twice.

    Raises ConversationNotFound; NotApproved; ValidationRefused; ConversationInactive; IdempotencyConflict;
    RateLimitExceeded; MessagingUnavailable for a legacy conversation while V1 writes are off.
    """
    measurement = measured(method=Method.SEND, member=actor, conversation_id=conversation_id)
    with measurement as operation, acting_as(actor, commits_with_last=True):
        if last_sent:
            location = locate(reader=actor, conversation_id=conversation_id, mark_read=False)
            if is_said_in(location, sender=actor, message_id=last_sent, content=content):
                message_id = last_sent
        given = {"actor": actor, "conversation_id": conversation_id, "content": content, "message_id": message_id}
        # The lock of the new messaging tells whether the conversation is one of its own.
        news = News(rate_limits.messages(), NotificationKind.NEW_MESSAGE)
        return _send_v2(operation, news=news, **given) or _send_v1(operation, news, **given)


def mark_read(*, actor: User, conversation_id: UUID) -> None:
    """Move the member's pointer to the newest message. Raises ConversationNotFound."""
    with acting_as(actor):
        locate(reader=actor, conversation_id=conversation_id, mark_read=True)


def _send_v2(operation: Event, **given: Any) -> Sent | None:
    """Send in the new messaging, counted and noted. None for a conversation that is not in it."""
    if not v2_is_installed():
        return None
    operation.version = MessagingVersion.V2
    try:
        sent = send_message_v2(sender_id=given["actor"].pk, **given)
    except ConversationNotFound:
        operation.version = None
        return None
    return Sent(message_record(sent.message), MessagingVersion.V2, sent.is_new, sent.quota)


def _send_v1(operation: Event, news: News, **given: Any) -> Sent:
    """Send in the legacy messaging, counted and noted. Raises ConversationNotFound."""
    location = locate(reader=given["actor"], conversation_id=given["conversation_id"], mark_read=False)
    operation.version = location.version
    # A message stored before the freeze is returned again when its sender repeats it.
    sent = send_legacy_message(**given) if v1_writes_are_on() else legacy_message_sent_before(**given)
    if sent is None:
        raise _frozen(given["actor"], given["conversation_id"])
    quota = None
    if sent.is_new:
        quota = count_and_notify(
            news,
            member=given["actor"],
            recipient_id=sent.message.recipient_id,
            conversation_id=location.conversation_id,
            version=location.version,
        )
    return Sent(legacy_message_record(sent.message), MessagingVersion.V1, sent.is_new, quota)


def _why_paused() -> Any:
    return PAUSED_FOR_ALL if nobody_can_start() else NEW_CONVERSATIONS_PAUSED


def _frozen(actor: User, conversation_id: UUID) -> MessagingUnavailable | ConversationInactive:
    thread = open_thread(reader=actor, conversation_id=conversation_id, mark_read=False)
    if thread.read_only is not ReadOnlyReason.LEGACY_FROZEN:
        return ConversationInactive()
    if nobody_can_start():
        return MessagingUnavailable(PAUSED_FOR_ALL)
    return ThreadFrozen(
        way_on=thread.way_on, continued_as=thread.continued_as, may_thaw=snapshot.current().stage != ENABLED
    )


def _open(
    actor: User,
    version: MessagingVersion | None,
    entered: Callable[[], MessagingVersion | None] | None = None,
    **offer: Any,
) -> Started:
    """Open a conversation in this version. Raises _LeftV2, before anything is written, where `entered` tells another."""

    def stay_in_v2() -> None:
        if entered is not None and (now := entered()) is not MessagingVersion.V2:
            raise _LeftV2(now)

    news = News(rate_limits.new_conversations(), NotificationKind.NEW_CONVERSATION)
    match version:
        case MessagingVersion.V2:
            conversation, quota = open_conversation(actor=actor, news=news, confirm=stay_in_v2, **offer)
            return Started(conversation.pk, version, quota)
        case MessagingVersion.V1:
            legacy = start_legacy_conversation(actor=actor, **offer)
            owner: Any = legacy.help_request
            told = {"recipient_id": owner.user_id, "conversation_id": legacy.pk, "version": version}
            quota = count_and_notify(news, member=actor, **told)
            return Started(legacy.pk, version, quota)
        case None:  # pragma: no branch
            lock_and_check_offer(helper=actor, **offer)
            raise MessagingUnavailable(_why_paused())
