"""The rollout's API: which version a member gets, and the control room's tree for staff."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from carecollective.core.errors import NotPermitted
from carecollective.web.api import ApiView
from carecollective.web.openapi import refusals
from rollout.dashboard.schema import Status
from rollout.dashboard.status import read_status
from rollout.plain import as_plain
from rollout.stages import BUCKETS, Stage
from rollout.targeting.cohort import Reason, decision_for
from rollout.versions import MessagingVersion

if TYPE_CHECKING:
    from carecollective.accounts.models import User


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


class DecisionSerializer(serializers.Serializer):  # type: ignore[type-arg]
    version = serializers.ChoiceField(
        choices=[version.value for version in MessagingVersion],
        allow_null=True,
        help_text="The version a new conversation would use; null while none can be started.",
    )
    reason = serializers.ChoiceField(choices=[(reason.value, reason.name) for reason in Reason])
    stage = serializers.CharField(help_text="disabled, internal, percentage:N or enabled")
    bucket = serializers.IntegerField(min_value=0, max_value=BUCKETS - 1)


class MyRollout(ApiView):
    """Which version a new conversation of mine would use, and why."""

    @extend_schema(
        operation_id="rollout_me",
        summary="Which version a new conversation of mine would use, and why",
        description="The same for the web, the API and every device of mine.",
        responses=DecisionSerializer,
        tags=["rollout"],
    )
    def get(self, request: Request) -> Response:
        member = cast("User", request.user)
        decision = decision_for(member)
        return Response(as_plain(decision), headers={"Cache-Control": "private, no-store"})


class RolloutStatus(ApiView):
    """All that the control room shows, for staff who may see it."""

    @extend_schema(
        operation_id="rollout_status",
        summary="All that the control room shows",
        description="For staff who may see it.",
        responses={200: serializer_of(Status), **refusals(NotPermitted())},
        tags=["rollout"],
    )
    def get(self, request: Request) -> Response:
        member = cast("User", request.user)
        if not (member.is_staff and member.has_perm("rollout.view")):
            raise NotPermitted
        return Response(as_plain(read_status()), headers={"Cache-Control": "private, no-store"})
