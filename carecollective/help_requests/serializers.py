"""Help requests in the API."""

from typing import Any

from rest_framework import serializers

from carecollective.accounts.serializers import PersonSerializer
from carecollective.help_requests.models import OTHER, Category, RequestStatus, Urgency
from carecollective.help_requests.services import DESCRIPTION_MAX, TITLE_MAX
from carecollective.web.api import PageSerializer, RawTextField
from carecollective.web.openapi import Schema, ref

# Enumerations that requests and filters share, by their names in the OpenAPI document.
ENUMS = {
    "HelpRequestCategory": Category.values,
    "HelpRequestStatus": RequestStatus.values,
    "HelpRequestStatusFilter": [*RequestStatus.values, OTHER],
    "HelpRequestUrgency": Urgency.values,
    "HelpRequestUrgencyFilter": [*Urgency.values, OTHER],
}


def add_enums(result: Schema, **_given: Any) -> Schema:
    """Add the enumerations to the OpenAPI document."""
    result["components"]["schemas"] |= {name: {"type": "string", "enum": values} for name, values in ENUMS.items()}
    return result


class LegacyEnumField(RawTextField):
    """A value of an enumeration, or any other value of the legacy system, or null."""

    def __init__(self, enum: str) -> None:
        super().__init__(
            documented={"anyOf": [ref(enum), {"type": "string"}, {"type": "null"}]},
            help_text="Of a legacy request perhaps a word that is not listed, or null.",
        )


class NewHelpRequestSerializer(serializers.Serializer[Any]):
    title = RawTextField(documented={"minLength": 1}, longest=TITLE_MAX)
    description = RawTextField(default="", longest=DESCRIPTION_MAX)
    category = RawTextField(default=Category.OTHER.value, documented=ref("HelpRequestCategory"))
    urgency = RawTextField(default=Urgency.NORMAL.value, documented=ref("HelpRequestUrgency"))


class HelpRequestSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    title = serializers.CharField()
    description = serializers.CharField(allow_null=True)
    category = LegacyEnumField("HelpRequestCategory")
    urgency = LegacyEnumField("HelpRequestUrgency")
    status = LegacyEnumField("HelpRequestStatus")
    created_at = serializers.DateTimeField()
    owner = PersonSerializer()


class HelpRequestPageSerializer(PageSerializer):
    results = HelpRequestSerializer(many=True)
