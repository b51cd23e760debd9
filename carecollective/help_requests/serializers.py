"""The shapes that help requests have in the API."""

from typing import Any

from django.db.models import TextChoices
from rest_framework import serializers

from carecollective.accounts.serializers import PersonSerializer
from carecollective.core.api import RawTextField
from carecollective.help_requests.models import Category, Status, Urgency
from carecollective.help_requests.services import DESCRIPTION_MAX, TITLE_MAX

CATEGORIES, URGENCIES = Category.values, Urgency.values


class LegacyWordField(serializers.CharField):
    """One of our words, unless the legacy system kept another or none."""

    def __init__(self, choices: type[TextChoices], **options: Any) -> None:
        ours = ", ".join(f"`{value}`" for value in choices.values)
        super().__init__(
            allow_null=True, help_text=f"One of {ours}; of a legacy request perhaps another word, or null.", **options
        )


class NewHelpRequestSerializer(serializers.Serializer[Any]):
    title = RawTextField(documented={"minLength": 1, "maxLength": TITLE_MAX})
    description = RawTextField(default="", documented={"maxLength": DESCRIPTION_MAX})
    category = RawTextField(default=Category.OTHER.value, documented={"enum": CATEGORIES})
    urgency = RawTextField(default=Urgency.NORMAL.value, documented={"enum": URGENCIES})


class HelpRequestSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    title = serializers.CharField()
    description = serializers.CharField(allow_null=True)
    category = LegacyWordField(Category)
    urgency = LegacyWordField(Urgency)
    status = LegacyWordField(Status)
    created_at = serializers.DateTimeField()
    owner = PersonSerializer()


class HelpRequestPageSerializer(serializers.Serializer[Any]):
    results = HelpRequestSerializer(many=True)
    next = serializers.URLField(allow_null=True, help_text="The older ones.")
    previous = serializers.URLField(allow_null=True, help_text="The newer ones.")
