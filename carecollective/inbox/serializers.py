"""The shapes that conversations have in the API: what calls take, and what answers hold beside records."""

from typing import Any

from rest_framework import serializers

from carecollective.accounts.serializers import PersonSerializer
from carecollective.core.text import INITIAL_MESSAGE_MIN, MESSAGE_MAX
from carecollective.inbox.records import ConversationRecord, ConversationRow, MessageRecord, Person, WayOn
from carecollective.web.api import PageSerializer, RawTextField, StrictUUIDField
from carecollective.web.dataclass_serializers import FIELDS, serializer_of
from rollout.versions import MessagingVersion

VERSIONS = [(version.value, version.name) for version in MessagingVersion]
WAYS_ON = [way.value for way in WayOn]

FIELDS[Person] = PersonSerializer


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


class SentSerializer(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    message_id = serializers.UUIDField()
    version = serializers.ChoiceField(choices=VERSIONS)
    message = serializer_of(MessageRecord)()


class ConversationPageSerializer(PageSerializer):
    results = serializer_of(ConversationRow)(many=True)


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
    conversation = serializer_of(ConversationRecord)()
    messages = serializer_of(MessageRecord)(many=True, help_text="Oldest first, the latest 50.")
    previous = serializers.URLField(allow_null=True, help_text="The older ones.")
    way_on = WayOnSerializer(
        allow_null=True, help_text="Null for all but a frozen legacy conversation that can be gone on with."
    )
