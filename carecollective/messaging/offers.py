"""The rules for opening a conversation, the same in V1 and V2."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.accounts.services import require_approved
from carecollective.core import shadow
from carecollective.core.database import fetch_each, model_from_row
from carecollective.core.errors import DomainError
from carecollective.core.text import INITIAL_MESSAGE_MIN, normalise_message
from carecollective.help_requests.errors import HelpRequestNotFound, HelpRequestUnavailable, OwnRequest
from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.statements import LOCK_COLUMNS
from carecollective.messaging.errors import ConversationExists
from carecollective.messaging.statements import LOCK_REQUEST
from carecollective.safety.selectors import Standing, read_standing

BLOCKED_BY_YOU = _("You have blocked this member. To offer help, unblock them on your account page first.")


def lock_and_check_offer(
    *, helper: User, help_request_id: UUID, initial_message: Any, pair: str
) -> tuple[HelpRequest, str]:
    """Lock the request that a helper offers help with; return it and the first message, ready to store.

    The caller holds `acting_as`. `pair` is the statement of the helper's conversations about it that stand in the way. Two
    offers on one request, in whatever version, wait for each other here. Raises, in this
    order: HelpRequestNotFound; NotApproved; Restricted or DailyLimitReached; ValidationRefused naming `initial_message`;
    OwnRequest; ConversationExists; HelpRequestUnavailable unless the request is open or in progress, and where one of the two
    has blocked the other or its owner is no member any more.
    """
    request, standing, conversation = lock_and_read_request(help_request_id, helper=helper, pair=pair)
    require_approved(helper)
    standing.require_may_write(offers=True)
    text = normalise_message(initial_message, field="initial_message", minimum=INITIAL_MESSAGE_MIN)
    if request.user_id == helper.pk:
        raise OwnRequest
    if conversation is not None:
        conversation_id, version = conversation
        raise ConversationExists(conversation_id=conversation_id, version=version)
    if not request.is_available or standing.is_apart:
        raise HelpRequestUnavailable(BLOCKED_BY_YOU if standing.blocked_by_me else None)
    return request, text


def lock_and_read_request(
    help_request_id: UUID, *, helper: User, pair: str
) -> tuple[HelpRequest, Standing, tuple[Any, ...] | None]:
    """Lock a help request as `lock_help_request` does; return it, how the helper and its owner stand, and their conversation.

    The conversation, its id and its version, is read once the lock is held. Raises HelpRequestNotFound.
    """
    asked = {"help_request": help_request_id, "helper": helper.pk}
    rows, conversations = fetch_each((LOCK_REQUEST, asked), (pair, asked))
    if not rows:
        raise HelpRequestNotFound
    (row,) = rows
    width = len(LOCK_COLUMNS)
    shadow.compare(
        "lock request",
        row[:width],
        lambda: HelpRequest.objects.filter(pk=help_request_id).values_list(*LOCK_COLUMNS).first(),
    )
    request = model_from_row(HelpRequest, LOCK_COLUMNS, row[:width])
    return request, Standing(*row[width:]), conversations[0] if conversations else None


def find_refusal(*, owner_id: UUID) -> DomainError | None:
    """Return why an offer to this member would be refused now, so that the acting member need not write it in vain.

    Only what they may know: not that the other has blocked them. The caller holds `acting_as`.
    """
    standing = read_standing(owner_id)
    try:
        standing.require_may_write(offers=True)
    except DomainError as refusal:
        return refusal
    return HelpRequestUnavailable(BLOCKED_BY_YOU) if standing.blocked_by_me else None
