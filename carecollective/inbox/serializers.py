"""The shapes that conversations have in the API.

Answers are written by hand in `api.py`, for an inbox of nested serializers costs five times as much; the tests hold
each answer against these shapes.
"""

from typing import Any

from rest_framework import serializers

from carecollective.accounts.serializers import PersonSerializer
from carecollective.core.text import INITIAL_MESSAGE_MIN, MESSAGE_MAX
from carecollective.inbox.records import WayOn
from carecollective.web.api import PageSerializer, RawTextField, StrictUUIDField
from rollout.versions import MessagingVersion

VERSIONS = [version.value for version in MessagingVersion]
WAYS_ON = [way.value for way in WayOn]


class LegacyDateField(serializers.DateTimeField):
    """A date that the legacy system may not have kept."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_null=True, help_text="Null where the legacy system kept no date.", **options)


class OfferSerializer(serializers.Serializer[Any]):
    initial_message = RawTextField(documented={"minLength": INITIAL_MESSAGE_MIN}, longest=MESSAGE_MAX)


class NewMessageSerializer(serializers.Serializer[Any]):
    content = RawTextField(documented={"minLength": 1}, longest=MESSAGE_MAX)
    id = StrictUUIDField(
        required=False, allow_null=True, help_text="Chosen by you: sending the same again then stores nothing twice."
    )


class NothingSerializer(serializers.Serializer[Any]):
    """A body that needs to say nothing."""


class StartedSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    conversation_id = serializers.UUIDField()
    version = serializers.ChoiceField(choices=VERSIONS)
    message = serializers.CharField()


class MessageSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    sender_id = serializers.UUIDField(allow_null=True, help_text="Null where the legacy system kept no sender.")
    content = serializers.CharField(help_text="For a message that was deleted or moderated: the sentence in its place.")
    created_at = LegacyDateField()
    updated_at = LegacyDateField()


class SentSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    message_id = serializers.UUIDField()
    version = serializers.ChoiceField(choices=VERSIONS)
    message = MessageSerializer()


class RequestSummarySerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    title = serializers.CharField()
    status = serializers.CharField(allow_null=True)


class LastMessageSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(allow_null=True, help_text="Null for the first message of a V2 conversation.")
    sender_id = serializers.UUIDField(allow_null=True, help_text="Null where the legacy system kept no sender.")
    content = serializers.CharField()
    created_at = LegacyDateField()


class ConversationRowSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    version = serializers.ChoiceField(choices=VERSIONS)
    help_request = RequestSummarySerializer(allow_null=True, help_text="Null where the request is gone (legacy).")
    other_participant = PersonSerializer(allow_null=True)
    status = serializers.CharField()
    last_message = LastMessageSerializer(
        allow_null=True, help_text="Null where the first message never arrived (legacy)."
    )
    unread_count = serializers.IntegerField(min_value=0)
    updated_at = LegacyDateField()


class ConversationPageSerializer(PageSerializer):
    results = ConversationRowSerializer(many=True)


class ConversationSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    version = serializers.ChoiceField(choices=VERSIONS)
    help_request_id = serializers.UUIDField(allow_null=True)
    requester_id = serializers.UUIDField(allow_null=True)
    helper_id = serializers.UUIDField(allow_null=True)
    initial_message = serializers.CharField(
        allow_null=True, help_text="What the helper opened with. In V2 it is not repeated among `messages`."
    )
    status = serializers.CharField()
    created_at = LegacyDateField()
    updated_at = LegacyDateField()


class WayOnSerializer(serializers.Serializer[Any]):
    """How to go on from a legacy conversation that takes no new messages; named in the header `Link` too."""

    action = serializers.ChoiceField(
        choices=WAYS_ON,
        help_text="`continue` (its helper may) and `ask` (its requester may): by POST to `href`; `asked`: done, the helper"
        " knows; `continued`: the new conversation is at `href`.",
    )
    href = serializers.CharField(allow_null=True, help_text="A path on this host.")
    conversation_id = serializers.UUIDField(allow_null=True, help_text="With `continued`: the new conversation.")


class ThreadSerializer(serializers.Serializer[Any]):
    conversation = ConversationSerializer()
    messages = MessageSerializer(many=True, help_text="Oldest first, the latest 50.")
    previous = serializers.URLField(allow_null=True, help_text="The older ones.")
    way_on = WayOnSerializer(
        allow_null=True, help_text="Null for all but a frozen legacy conversation that can be gone on with."
    )


class NewerMessagesSerializer(serializers.Serializer[Any]):
    messages = MessageSerializer(many=True, help_text="Oldest first, at most 200.")
    has_more = serializers.BooleanField(
        help_text="With `after`: newer ones are left, so ask again after the last of these. Without: older ones are left,"
        " which the conversation gives page by page."
    )
