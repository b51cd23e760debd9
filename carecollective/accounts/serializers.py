"""The shapes that accounts' API takes and gives."""

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from carecollective.core.api import RawTextField


class SignInField(RawTextField):
    """Text that can be looked up or hashed at all; whether it is right, the service says, and only of both together."""

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid": _("This is needed, as text.")}

    def __init__(self, *, longest: int, **kwargs: Any) -> None:
        self.longest = longest
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or len(data) > self.longest:
            self.fail("invalid")
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in data):
            self.fail("invalid")
        return data


class SignInSerializer(serializers.Serializer[Any]):
    email = SignInField(longest=254, documented={"format": "email", "maxLength": 254})
    password = SignInField(longest=4096, documented={"format": "password", "maxLength": 4096})


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="Shown this once; only its hash is kept.")
    expiry = serializers.DateTimeField()


class PersonSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
