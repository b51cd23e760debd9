"""An offer that could be refused for two reasons is refused for the same one on every way in and in both versions."""

from itertools import combinations
from uuid import uuid4

import pytest

from carecollective.accounts.services import NotApproved
from carecollective.core.errors import DomainError, RateLimitExceeded, ValidationRefused
from carecollective.help_requests.errors import HelpRequestNotFound, HelpRequestUnavailable, OwnRequest
from carecollective.inbox.services import offer_help
from carecollective.messaging.errors import ConversationExists, MessagingUnavailable
from carecollective.web.api import status_of

pytestmark = pytest.mark.django_db

ORDER = (
    HelpRequestNotFound,
    NotApproved,
    ValidationRefused,
    OwnRequest,
    ConversationExists,
    HelpRequestUnavailable,
    MessagingUnavailable,
    RateLimitExceeded,
)
# A request that does not exist is nobody's, is not over, and has no conversation.
OF_A_REQUEST = {OwnRequest, ConversationExists, HelpRequestUnavailable}
PAIRS = [pair for pair in combinations(ORDER, 2) if pair[0] is not HelpRequestNotFound or pair[1] not in OF_A_REQUEST]


@pytest.fixture
def offer(member, help_request, legacy_conversation, settings, stage):
    """Prepare an offer that meets these refusals: helper, id of the request, first message."""

    def prepare(reasons, stage_name):
        helper = member(verification_status="pending" if NotApproved in reasons else "approved")
        request = help_request(
            user=helper if OwnRequest in reasons else member(),
            status="completed" if HelpRequestUnavailable in reasons else "open",
        )
        if ConversationExists in reasons:
            legacy_conversation(helper, member(), request)
        settings.CONVERSATIONS_PER_HOUR = 0 if RateLimitExceeded in reasons else 10
        if MessagingUnavailable in reasons:
            stage("disabled", v1_writes=False)
        else:
            stage(stage_name)
        text = "Too short" if ValidationRefused in reasons else "Hello, I can bring them on Monday."
        return helper, uuid4() if HelpRequestNotFound in reasons else request.pk, text

    return prepare


def ask_page(client, request_id, text):
    answer = client.post(f"/requests/{request_id}", {"initial_message": text})
    if answer.status_code == 302:
        return status_of(ConversationExists), ConversationExists.message
    if answer.status_code == 404:
        return 404, answer.context["error"].message
    return answer.status_code, next(iter(answer.context["form"].errors.values()))[0]


def ask_api(client, request_id, text):
    answer = client.post(
        f"/api/messaging/help-requests/{request_id}/start-conversation", {"initial_message": text}, "application/json"
    )
    return answer.status_code, answer.json()["error"]["message"]


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
@pytest.mark.parametrize("reasons", PAIRS, ids=lambda pair: "-".join(kind.__name__ for kind in pair))
def test_the_order_is_the_same_on_every_way_in(offer, signed_in, reasons, stage_name):
    helper, request_id, text = offer(reasons, stage_name)
    with pytest.raises(DomainError) as refusal:
        offer_help(actor=helper, help_request_id=request_id, initial_message=text)
    assert isinstance(refusal.value, reasons[0])
    expected = (status_of(refusal.value), refusal.value.message)
    client = signed_in(helper)
    assert (ask_page(client, request_id, text), ask_api(client, request_id, text)) == (expected, expected)
