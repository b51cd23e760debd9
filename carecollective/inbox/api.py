"""The API of conversations of both versions. It calls the same services as the pages."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import conditional_page
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from carecollective.accounts.authentication import member_of
from carecollective.accounts.services import NotApproved
from carecollective.core import errors
from carecollective.core.addresses import address_with_id
from carecollective.help_requests.errors import HelpRequestNotFound, HelpRequestUnavailable, OwnRequest
from carecollective.inbox.records import NewerMessages, Started, WayOn
from carecollective.inbox.selectors import list_conversations, messages_after, open_thread
from carecollective.inbox.serializers import (
    ConversationPageSerializer,
    NewMessageSerializer,
    NothingSerializer,
    OfferSerializer,
    SentSerializer,
    StartedSerializer,
    ThreadSerializer,
)
from carecollective.inbox.services import (
    CannotContinue,
    ThreadFrozen,
    ask_to_continue,
    continue_in_v2,
    mark_read,
    offer_help,
    send_message,
)
from carecollective.messaging.errors import (
    ConversationExists,
    ConversationInactive,
    ConversationNotFound,
    IdempotencyConflict,
    MessageNotFound,
    MessagingUnavailable,
)
from carecollective.web.api import ApiView, page_body, parse_uuid, read_cursor, read_fields
from carecollective.web.dataclass_serializers import body_of, serializer_of
from carecollective.web.openapi import CURSOR, LOCATION, RATE_LIMIT, path_id, refusals
from rollout.versions import MessagingVersion

CONVERSATION_ID = path_id("conversation_id")
NOT_YOURS = (errors.InvalidInput(), ConversationNotFound())


def refusals_to_start(not_allowed: errors.DomainError, not_found: errors.DomainError) -> dict[int, OpenApiResponse]:
    """Describe the refusals of a call that opens a conversation: two of its own, and those that all of them share."""
    return refusals(
        errors.ValidationRefused({"initial_message": ["Please write a little more: at least 10 characters."]}),
        errors.InvalidInput(),
        not_allowed,
        HelpRequestUnavailable(),
        NotApproved(),
        errors.ActingAsAnother(),
        not_found,
        ConversationExists(conversation_id=UUID("8e6f7a70-5c0e-4d3a-9a53-1d1f5b6c2f10"), version=MessagingVersion.V2),
        errors.RateLimitExceeded(retry_after=1200),
        MessagingUnavailable(),
    )


_V2_THREAD = {
    "id": "8e6f7a70-5c0e-4d3a-9a53-1d1f5b6c2f10",
    "version": "v2",
    "help_request_id": "b3c0e1a4-2d5f-4c86-9f0e-7a1d2b3c4d5e",
    "requester_id": "0f9d8c7b-6a5e-4d3c-8b1a-09f8e7d6c5b4",
    "helper_id": "1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d",
    "initial_message": "Hello, I can help with your groceries!",
    "status": "active",
    "created_at": "2026-11-02T09:00:00Z",
    "updated_at": "2026-11-02T09:05:00Z",
}
_ANSWER = {
    "id": "5d1c7b2e-8f4a-4e6d-9c3b-2a1f0e9d8c7b",
    "sender_id": "0f9d8c7b-6a5e-4d3c-8b1a-09f8e7d6c5b4",
    "content": "Thank you! Tomorrow at 2pm?",
    "created_at": "2026-11-02T09:05:00Z",
    "updated_at": "2026-11-02T09:05:00Z",
}
V2_THREAD = OpenApiExample(
    "V2Conversation",
    summary="The helper's first message is `initial_message`; `messages` begin with the answer to it",
    value={"conversation": _V2_THREAD, "messages": [_ANSWER], "previous": None, "way_on": None},
    response_only=True,
    status_codes=["200"],
)
V2_POLL = OpenApiExample(
    "V2Poll",
    summary="The whole of that V2 conversation: its first message is in no poll",
    value={"messages": [_ANSWER], "has_more": False},
    response_only=True,
    status_codes=["200"],
)


class StartConversationView(ApiView):
    @extend_schema(
        operation_id="start_conversation",
        summary="Offer help: open a conversation together with its first message, or neither",
        description="The helper is whoever signs the call; a body that names somebody else is refused.",
        tags=["conversations"],
        parameters=[path_id("help_request_id"), LOCATION, *RATE_LIMIT],
        request=OfferSerializer,
        responses={
            201: StartedSerializer,
            **refusals_to_start(OwnRequest(), HelpRequestNotFound()),
        },
    )
    def post(self, request: Request, help_request_id: str) -> Response:
        request_id = parse_uuid(help_request_id)
        given = read_fields(request, OfferSerializer)
        started = offer_help(
            actor=member_of(request), help_request_id=request_id, initial_message=given["initial_message"]
        )
        return answer_started(request, started)


class ConversationsView(ApiView):
    @extend_schema(
        operation_id="list_conversations",
        summary="The inbox: conversations of both versions, newest activity first",
        description="Pages of 20; `next_cursor` leads to the older ones.",
        tags=["conversations"],
        parameters=[CURSOR],
        responses={200: ConversationPageSerializer, **refusals(errors.ValidationRefused({"cursor": ["…"]}))},
    )
    def get(self, request: Request) -> Response:
        page = list_conversations(reader=member_of(request), cursor=read_cursor(request))
        return Response(page_body(request, page, body_of))


class ConversationView(ApiView):
    @extend_schema(
        operation_id="get_conversation",
        summary="One conversation and its latest messages",
        description="Reading marks nothing as read.",
        tags=["conversations"],
        parameters=[
            CONVERSATION_ID,
            OpenApiParameter("before", OpenApiTypes.UUID, description="Only messages older than this one."),
        ],
        responses={200: ThreadSerializer, **refusals(*NOT_YOURS, MessageNotFound())},
        examples=[V2_THREAD],
    )
    def get(self, request: Request, conversation_id: str) -> Response:
        thread = open_thread(
            reader=member_of(request),
            conversation_id=parse_uuid(conversation_id),
            before=message_named(request, "before"),
            mark_read=False,
        )
        here = request.build_absolute_uri()
        older = replace_query_param(here, "before", str(thread.messages[0].id)) if thread.has_older else None
        way_on = render_way_on(thread.way_on, conversation_id=thread.conversation.id, continued_as=thread.continued_as)
        return Response(
            {
                "conversation": body_of(thread.conversation),
                "messages": body_of(thread.messages),
                "previous": older,
                "way_on": way_on,
            },
            headers=link_headers(way_on),
        )


class MessagesView(ApiView):
    @extend_schema(
        operation_id="list_newer_messages",
        summary="What has been said since: what a client polls",
        description="Without `after`, the newest messages. The first message of a V2 conversation is its"
        " `initial_message`, and in no poll.",
        tags=["conversations"],
        parameters=[
            CONVERSATION_ID,
            OpenApiParameter(
                "after", OpenApiTypes.UUID, description="Only messages newer than this one; the last one you have."
            ),
            OpenApiParameter("If-None-Match", location=OpenApiParameter.HEADER, description="The last answer's ETag."),
            OpenApiParameter("ETag", location=OpenApiParameter.HEADER, response=[200, 304]),
        ],
        responses={
            200: serializer_of(NewerMessages),
            304: OpenApiResponse(description="Nothing has changed since that ETag."),
            **refusals(*NOT_YOURS, MessageNotFound()),
        },
        examples=[V2_POLL],
    )
    @method_decorator(conditional_page)
    def get(self, request: Request, conversation_id: str) -> Response:
        newer = messages_after(
            reader=member_of(request),
            conversation_id=parse_uuid(conversation_id),
            after=message_named(request, "after"),
        )
        return Response(body_of(newer), headers={"Cache-Control": "private, no-cache"})

    @extend_schema(
        operation_id="send_message",
        summary="Say something",
        description="With an `id` of yours, sending the same again stores nothing twice.",
        tags=["conversations"],
        parameters=[CONVERSATION_ID, *RATE_LIMIT],
        request=NewMessageSerializer,
        responses={
            200: OpenApiResponse(SentSerializer, description="This message had already been stored: nothing new was."),
            201: SentSerializer,
            **refusals(
                errors.ValidationRefused({"content": ["Please write a message first."]}),
                errors.InvalidInput(),
                NotApproved(),
                errors.ActingAsAnother(),
                ConversationNotFound(),
                ConversationInactive(),
                IdempotencyConflict(),
                errors.RateLimitExceeded(retry_after=20),
                MessagingUnavailable(),
                ThreadFrozen(way_on=WayOn.CONTINUE, continued_as=None, may_thaw=False),
            ),
        },
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        thread_id = parse_uuid(conversation_id)
        given = read_fields(request, NewMessageSerializer)
        try:
            sent = send_message(
                actor=member_of(request),
                conversation_id=thread_id,
                content=given["content"],
                message_id=given.get("id"),
            )
        except ThreadFrozen as refusal:
            way_on = render_way_on(refusal.way_on, conversation_id=thread_id, continued_as=refusal.continued_as)
            refusal.extra["way_on"] = way_on
            refusal.headers |= link_headers(way_on)
            raise
        body = {
            "success": True,
            "message_id": sent.message.id,
            "version": sent.version,
            "message": body_of(sent.message),
        }
        return Response(body, status=201 if sent.is_new else 200, headers=sent.quota.headers() if sent.quota else None)


class ContinueView(ApiView):
    @extend_schema(
        operation_id="continue_conversation",
        summary="Go on with a frozen legacy conversation in the new messaging",
        description="Its helper may. The new conversation is about the same request, and opens with a first message.",
        tags=["conversations"],
        parameters=[CONVERSATION_ID, LOCATION, *RATE_LIMIT],
        request=OfferSerializer,
        responses={
            201: StartedSerializer,
            **refusals_to_start(CannotContinue(), ConversationNotFound()),
        },
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        thread_id = parse_uuid(conversation_id)
        given = read_fields(request, OfferSerializer)
        started = continue_in_v2(
            actor=member_of(request), conversation_id=thread_id, initial_message=given["initial_message"]
        )
        return answer_started(request, started)


class AskView(ApiView):
    @extend_schema(
        operation_id="ask_to_continue",
        summary="Ask the helper of a frozen legacy conversation to go on",
        description="Its requester may; asking twice is asking once.",
        tags=["conversations"],
        parameters=[CONVERSATION_ID],
        request=None,
        responses={
            204: OpenApiResponse(description="The helper is told."),
            **refusals(*NOT_YOURS, CannotContinue(), NotApproved(), errors.ActingAsAnother()),
        },
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        thread_id = parse_uuid(conversation_id)
        read_fields(request, NothingSerializer)
        ask_to_continue(actor=member_of(request), conversation_id=thread_id)
        return Response(status=204)


class ReadView(ApiView):
    @extend_schema(
        operation_id="mark_read",
        summary="Mark a conversation as read",
        description="Up to now: what arrives later is new again.",
        tags=["conversations"],
        parameters=[CONVERSATION_ID],
        request=None,
        responses={
            204: OpenApiResponse(description="Done."),
            **refusals(*NOT_YOURS, errors.ActingAsAnother()),
        },
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        thread_id = parse_uuid(conversation_id)
        read_fields(request, NothingSerializer)
        mark_read(actor=member_of(request), conversation_id=thread_id)
        return Response(status=204)


def answer_started(request: Request, started: Started) -> Response:
    body = {
        "success": True,
        "conversation_id": started.conversation_id,
        "version": started.version,
        "message": "Conversation created successfully",
    }
    address = address_with_id("api-conversation", started.conversation_id)
    location = f"{request.scheme}://{request.get_host()}{address}"
    quota = started.quota.headers() if started.quota else {}
    return Response(body, status=201, headers={"Location": location} | quota)


def render_way_on(way_on: WayOn | None, *, conversation_id: UUID, continued_as: UUID | None) -> dict[str, Any] | None:
    href: str | None
    match way_on:
        case None:
            return None
        case WayOn.CONTINUE:
            href = reverse("api-continue", args=[conversation_id])
        case WayOn.ASK:
            href = reverse("api-ask", args=[conversation_id])
        case WayOn.CONTINUED:
            href = reverse("api-conversation", args=[continued_as])
        case WayOn.ASKED:
            href = None
    return {"action": way_on, "href": href, "conversation_id": continued_as}


def link_headers(way_on: dict[str, Any] | None) -> dict[str, str]:
    """Return the header `Link` that names the way on, where there is one to follow."""
    if way_on is None or way_on["href"] is None:
        return {}
    relation = "successor-version" if way_on["action"] is WayOn.CONTINUED else f"urn:carecollective:{way_on['action']}"
    return {"Link": f'<{way_on["href"]}>; rel="{relation}"'}


def message_named(request: Request, parameter: str) -> UUID | None:
    """Return the message that a query parameter names, if there is one. Raises InvalidInput for a malformed id."""
    text = request.query_params.get(parameter)
    return parse_uuid(text) if text else None
