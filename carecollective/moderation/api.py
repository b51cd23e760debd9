"""The API of reports. It calls the same services as the pages."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from carecollective.accounts.authentication import member_of
from carecollective.core import errors
from carecollective.messaging.errors import ConversationNotFound, MessageNotFound
from carecollective.moderation.models import WORDS_MAX, ReportReason
from carecollective.moderation.selectors import OwnMessage
from carecollective.moderation.services import report_member, report_message
from carecollective.web.api import ApiView, RawTextField, StrictUUIDField, parse_uuid, read_fields
from carecollective.web.openapi import path_id, refusals


class ReportSerializer(serializers.Serializer[Any]):
    reason = RawTextField(documented={"enum": list(ReportReason.values)}, longest=WORDS_MAX)
    note = RawTextField(required=False, allow_null=True, longest=WORDS_MAX)
    message_id = StrictUUIDField(
        required=False,
        allow_null=True,
        help_text="The message that the report is about. The conversation's own id names the first message of a V2"
        " conversation. Without it, the report is about the other participant.",
    )


class ReportView(ApiView):
    @extend_schema(
        operation_id="report",
        summary="Report a message or the other participant to staff",
        description="Reporting the same again changes nothing. The reported member is not told who reported them.",
        tags=["conversations"],
        parameters=[path_id("conversation_id")],
        request=ReportSerializer,
        responses={
            204: OpenApiResponse(description="Staff will look at it."),
            **refusals(
                errors.ValidationRefused({"reason": ["Please choose what is wrong."]}),
                errors.InvalidInput(),
                OwnMessage(),
                errors.ActingAsAnother(),
                ConversationNotFound(),
                MessageNotFound(),
            ),
        },
    )
    def post(self, request: Request, conversation_id: str) -> Response:
        thread_id = parse_uuid(conversation_id)
        given = read_fields(request, ReportSerializer)
        message_id, reason, note = given.get("message_id"), given["reason"], given.get("note")
        if message_id is None:
            report_member(actor=member_of(request), conversation_id=thread_id, reason=reason, words=note)
        else:
            report_message(
                actor=member_of(request),
                conversation_id=thread_id,
                message_id=None if message_id == thread_id else message_id,
                reason=reason,
                words=note,
            )
        return Response(status=204)
