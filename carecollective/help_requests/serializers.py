"""The shapes that help requests have in the API."""

from typing import Any

from rest_framework import serializers

from carecollective.accounts.serializers import PersonSerializer
from carecollective.core.api import RawTextField
from carecollective.help_requests.models import Category, Status, Urgency
from carecollective.help_requests.services import DESCRIPTION_MAX, TITLE_MAX


class NewHelpRequestSerializer(serializers.Serializer[Any]):
    title = RawTextField(documented={"minLength": 1, "maxLength": TITLE_MAX})
    description = RawTextField(default="", documented={"maxLength": DESCRIPTION_MAX})
    category = RawTextField(
        default=Category.OTHER.value, documented={"allOf": [{"$ref": "#/components/schemas/HelpRequestCategory"}]}
    )
    urgency = RawTextField(
        default=Urgency.NORMAL.value, documented={"allOf": [{"$ref": "#/components/schemas/HelpRequestUrgency"}]}
    )


class HelpRequestSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    title = serializers.CharField()
    description = serializers.CharField(allow_null=True)
    category = serializers.ChoiceField(choices=Category.choices)
    urgency = serializers.ChoiceField(choices=Urgency.choices)
    status = serializers.ChoiceField(choices=Status.choices)
    created_at = serializers.DateTimeField()
    owner = PersonSerializer()


class HelpRequestPageSerializer(serializers.Serializer[Any]):
    results = HelpRequestSerializer(many=True)
    next = serializers.URLField(allow_null=True, help_text="The older ones.")
    previous = serializers.URLField(allow_null=True, help_text="The newer ones.")
