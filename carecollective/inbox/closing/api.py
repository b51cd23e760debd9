"""The API to close, reopen, block and unblock. It calls the same services as the pages."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from carecollective.accounts.authentication import member_of
from carecollective.core import errors
from carecollective.inbox.api import CONVERSATION_ID, NOT_YOURS
from carecollective.inbox.closing import services
from carecollective.inbox.serializers import NothingSerializer
from carecollective.messaging.errors import ClosedByAnother
from carecollective.web.api import ApiView, parse_uuid, read_fields
from carecollective.web.openapi import refusals


class CloseView(ApiView):
    @extend_schema(
        operation_id="close_conversation",
        summary="Close a conversation",
        description="It takes no new messages until you open it again. Closing twice is closing once.",
        tags=["conversations"],
        parameters=[CONVERSATION_ID],
        request=None,
        responses={
            204: OpenApiResponse(description="It is closed."),
            **refusals(*NOT_YOURS, errors.ActingAsAnother()),
        },
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        thread_id = parse_uuid(conversation_id)
        read_fields(request, NothingSerializer)
        services.close_conversation(actor=member_of(request), conversation_id=thread_id)
        return Response(status=204)


class ReopenView(ApiView):
    @extend_schema(
        operation_id="reopen_conversation",
        summary="Open a conversation again",
        description="Only the one who closed it may.",
        tags=["conversations"],
        parameters=[CONVERSATION_ID],
        request=None,
        responses={
            204: OpenApiResponse(description="It takes messages again."),
            **refusals(*NOT_YOURS, ClosedByAnother(), errors.ActingAsAnother()),
        },
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        thread_id = parse_uuid(conversation_id)
        read_fields(request, NothingSerializer)
        services.reopen_conversation(actor=member_of(request), conversation_id=thread_id)
        return Response(status=204)


class BlockView(ApiView):
    @extend_schema(
        operation_id="block_participant",
        summary="Block the other participant",
        description="No offers and no messages either way, in either version; your conversations stay readable. The other is"
        " not told: for them, the conversation is closed.",
        tags=["conversations"],
        parameters=[CONVERSATION_ID],
        request=None,
        responses={
            204: OpenApiResponse(description="They are blocked."),
            **refusals(*NOT_YOURS, errors.ActingAsAnother()),
        },
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        thread_id = parse_uuid(conversation_id)
        read_fields(request, NothingSerializer)
        services.block_other(actor=member_of(request), conversation_id=thread_id)
        return Response(status=204)


class UnblockView(ApiView):
    @extend_schema(
        operation_id="unblock_participant",
        summary="End your block of the other participant",
        description="Offers and messages between you are possible again, as long as they have not blocked you.",
        tags=["conversations"],
        parameters=[CONVERSATION_ID],
        request=None,
        responses={
            204: OpenApiResponse(description="No block of yours is in the way."),
            **refusals(*NOT_YOURS, errors.ActingAsAnother()),
        },
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        thread_id = parse_uuid(conversation_id)
        read_fields(request, NothingSerializer)
        services.unblock_other(actor=member_of(request), conversation_id=thread_id)
        return Response(status=204)
