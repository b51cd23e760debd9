"""The rules for opening a conversation, the same in V1 and V2."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.accounts.services import require_approved
from carecollective.core import shadow
from carecollective.core.database import fetch_one
from carecollective.core.errors import DomainError
from carecollective.core.text import INITIAL_MESSAGE_MIN, normalise_message
from carecollective.help_requests.errors import HelpRequestNotFound, HelpRequestUnavailable, OwnRequest
from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.statements import LOCK_COLUMNS
from carecollective.messaging.statements import LOCK_REQUEST
from carecollective.safety.selectors import Standing, read_standing

# Raises ConversationExists when the helper already has a conversation about the request.
RefuseStanding = Callable[[User, UUID], None]

BLOCKED_BY_YOU = _("You have blocked this member. To offer help, unblock them on your account page first.")


def lock_and_check_offer(
    *, helper: User, help_request_id: UUID, initial_message: Any, refuse_standing: RefuseStanding
) -> tuple[HelpRequest, str]:
    """Lock the request that a helper offers help with; return it and the first message, ready to store.

    The caller holds `acting_as`. Two offers on one request, in whatever version, wait for each other here. Raises, in this
    order: HelpRequestNotFound; NotApproved; Restricted or DailyLimitReached; ValidationRefused naming `initial_message`;
    OwnRequest; ConversationExists; HelpRequestUnavailable unless the request is open or in progress, and where one of the two
    has blocked the other or its owner is no member any more.
    """
    request, standing = lock_request_and_read_standing(help_request_id)
    require_approved(helper)
    standing.require_may_write(offers=True)
    text = normalise_message(initial_message, field="initial_message", minimum=INITIAL_MESSAGE_MIN)
    if request.user_id == helper.pk:
        raise OwnRequest
    refuse_standing(helper, help_request_id)
    if not request.is_available or standing.is_apart:
        raise HelpRequestUnavailable(BLOCKED_BY_YOU if standing.blocked_by_me else None)
    return request, text


def lock_request_and_read_standing(help_request_id: UUID) -> tuple[HelpRequest, Standing]:
    """Lock a help request as `lock_help_request` does, and tell how the acting member and its owner stand.

    Raises HelpRequestNotFound.
    """
    row = fetch_one(LOCK_REQUEST, {"help_request": help_request_id})
    if row is None:
        raise HelpRequestNotFound
    width = len(LOCK_COLUMNS)
    shadow.compare(
        "lock request",
        row[:width],
        lambda: HelpRequest.objects.filter(pk=help_request_id).values_list(*LOCK_COLUMNS).first(),
    )
    return HelpRequest.from_db(DEFAULT_DB_ALIAS, LOCK_COLUMNS, row[:width]), Standing(*row[width:])


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
