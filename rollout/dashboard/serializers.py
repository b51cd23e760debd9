"""The control room's tree as the API's schema describes it: read off the dataclasses, so that neither forgets a field."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

from rest_framework import serializers

from rollout.stages import Stage

_PLAIN: dict[Any, type[serializers.Field[Any, Any, Any, Any]]] = {
    bool: serializers.BooleanField,
    int: serializers.IntegerField,
    float: serializers.FloatField,
    str: serializers.CharField,
    Stage: serializers.CharField,
    UUID: serializers.UUIDField,
    datetime: serializers.DateTimeField,
    date: serializers.DateField,
}
_made: dict[type, type[serializers.Serializer[Any]]] = {}


def serializer_of(shape: type) -> type[serializers.Serializer[Any]]:
    """Return the serializer that describes a dataclass and all that is in it."""
    if shape not in _made:
        hints = get_type_hints(shape)
        declared = {part.name: _field(hints[part.name]) for part in fields(shape)}
        _made[shape] = type(f"Rollout{shape.__name__}Serializer", (serializers.Serializer,), declared)
    return _made[shape]


def _field(hint: Any, **options: Any) -> Any:
    origin, inside = get_origin(hint), get_args(hint)
    if origin is UnionType:
        (known,) = (part for part in inside if part is not NoneType)
        return _field(known, allow_null=True, **options)
    if origin is tuple:
        is_tree = is_dataclass(inside[0]) and inside[0] not in _PLAIN
        return _field(inside[0], many=True) if is_tree else serializers.ListField(child=_field(inside[0]))
    if origin is Mapping:
        return serializers.DictField(**options)
    if hint is str:
        options["allow_blank"] = True
    if hint in _PLAIN:
        return _PLAIN[hint](**options)
    if issubclass(hint, Enum):
        return serializers.ChoiceField(choices=[(choice.value, choice.name) for choice in hint], **options)
    return serializer_of(hint)(**options)
