"""The shapes that accounts' API takes and gives."""

from typing import Any

from rest_framework import serializers

from carecollective.core.api import RawTextField


class SignInSerializer(serializers.Serializer[Any]):
    email = RawTextField(documented={"format": "email"})
    password = RawTextField(documented={"format": "password"})


class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="Shown this once; only its hash is kept.")
    expiry = serializers.DateTimeField()


class PersonSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
