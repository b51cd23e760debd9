"""The shapes that help requests have in the API."""

from typing import Any

from rest_framework import serializers

from carecollective.accounts.serializers import PersonSerializer
from carecollective.help_requests.models import OTHER, Category, Status, Urgency
from carecollective.help_requests.services import DESCRIPTION_MAX, TITLE_MAX
from carecollective.web.api import PageSerializer, RawTextField
from carecollective.web.openapi import Schema, ref

# The words that requests and the filters of their list share, by their names in the document.
WORDS = {
    "HelpRequestCategory": Category.values,
    "HelpRequestStatus": Status.values,
    "HelpRequestStatusFilter": [*Status.values, OTHER],
    "HelpRequestUrgency": Urgency.values,
    "HelpRequestUrgencyFilter": [*Urgency.values, OTHER],
}


def name_words(result: Schema, **_given: Any) -> Schema:
    """Add the words to the document, each list under its name."""
    result["components"]["schemas"] |= {name: {"type": "string", "enum": words} for name, words in WORDS.items()}
    return result


class LegacyWordField(RawTextField):
    """One of our words, unless the legacy system kept another or none."""

    def __init__(self, words: str) -> None:
        super().__init__(
            documented={"anyOf": [ref(words), {"type": "string"}, {"type": "null"}]},
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
    category = LegacyWordField("HelpRequestCategory")
    urgency = LegacyWordField("HelpRequestUrgency")
    status = LegacyWordField("HelpRequestStatus")
    created_at = serializers.DateTimeField()
    owner = PersonSerializer()


class HelpRequestPageSerializer(PageSerializer):
    results = HelpRequestSerializer(many=True)
