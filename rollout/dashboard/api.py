"""The rollout's API: which version a member gets, and the control room's tree for staff."""

from typing import TYPE_CHECKING, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from carecollective.core.errors import NotPermitted
from carecollective.web.api import ApiView
from carecollective.web.dataclass_serializers import FIELDS, serializer_of
from carecollective.web.openapi import refusals
from rollout.dashboard.schema import Status
from rollout.dashboard.status import read_status
from rollout.plain import as_plain
from rollout.stages import BUCKETS, Stage
from rollout.targeting.cohort import Reason, decision_for
from rollout.versions import MessagingVersion

if TYPE_CHECKING:
    from carecollective.accounts.models import User


FIELDS[Stage] = serializers.CharField


class DecisionSerializer(serializers.Serializer):  # type: ignore[type-arg]
    version = serializers.ChoiceField(
        choices=[(version.value, version.name) for version in MessagingVersion],
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
        responses={200: serializer_of(Status, prefix="Rollout"), **refusals(NotPermitted())},
        tags=["rollout"],
    )
    def get(self, request: Request) -> Response:
        member = cast("User", request.user)
        if not (member.is_staff and member.has_perm("rollout.view")):
            raise NotPermitted
        return Response(as_plain(read_status()), headers={"Cache-Control": "private, no-store"})
