"""What the API of accounts takes and returns."""

from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from carecollective.core.text import EMAIL_MAX, can_be_kept
from carecollective.web.api import RawTextField, StrictBooleanField

PASSWORD_MAX = 4096
CODE_MAX = 64


class SignInField(RawTextField):
    """Text that can be looked up or hashed. The service checks e-mail and password together."""

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid": _("This is needed, as text.")}

    def __init__(self, *, longest: int, **kwargs: Any) -> None:
        self.longest = longest
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or len(data) > self.longest or not can_be_kept(data):
            self.fail("invalid")
        return data


class SignInSerializer(serializers.Serializer[Any]):
    email = SignInField(longest=EMAIL_MAX, documented={"format": "email", "maxLength": EMAIL_MAX})
    password = SignInField(longest=PASSWORD_MAX, documented={"format": "password", "maxLength": PASSWORD_MAX})
    code = SignInField(
        longest=CODE_MAX,
        documented={"maxLength": CODE_MAX},
        required=False,
        default="",
        help_text="Where the account has a second factor: a code of the app, or a recovery code.",
    )


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="Shown this once; only its hash is kept.")
    expiry = serializers.DateTimeField()


class OwnTokenSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="Names the token to end it; it is not the token.")
    created_at = serializers.DateTimeField()
    expiry = serializers.DateTimeField(allow_null=True)
    is_current = serializers.BooleanField(help_text="This call was made with it.")


class OwnTokensSerializer(serializers.Serializer[Any]):
    results = OwnTokenSerializer(many=True)


class SignOutSerializer(serializers.Serializer[Any]):
    everywhere = StrictBooleanField(
        default=False, help_text="All my sessions and tokens, on every device; links to choose a password too."
    )


class PersonSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
