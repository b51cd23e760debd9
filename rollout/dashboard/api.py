"""The rollout's API: which version a member gets, and the control room's tree for staff."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from carecollective.accounts.authentication import member_of
from carecollective.core.errors import NotPermitted
from carecollective.web.api import ApiView
from carecollective.web.dataclass_serializers import FIELDS, serializer_of
from carecollective.web.openapi import refusals
from rollout.dashboard.schema import RolloutStatus
from rollout.dashboard.status import read_status
from rollout.plain import as_plain
from rollout.stages import Stage
from rollout.targeting.cohort import Decision, decision_for

FIELDS[Stage] = serializers.CharField


class MyRolloutView(ApiView):
    """Which version a new conversation of mine would use, and why."""

    @extend_schema(
        operation_id="rollout_me",
        summary="Which version a new conversation of mine would use, and why",
        description="The same for the web, the API and every device of mine.",
        responses=serializer_of(Decision),
        tags=["rollout"],
    )
    def get(self, request: Request) -> Response:
        decision = decision_for(member_of(request))
        return Response(as_plain(decision), headers={"Cache-Control": "private, no-store"})


class RolloutStatusView(ApiView):
    """All that the control room shows, for staff who may see it."""

    @extend_schema(
        operation_id="rollout_status",
        summary="All that the control room shows",
        description="For staff who may see it.",
        responses={200: serializer_of(RolloutStatus, prefix="Rollout"), **refusals(NotPermitted())},
        tags=["rollout"],
    )
    def get(self, request: Request) -> Response:
        member = member_of(request)
        if not (member.is_staff and member.has_perm("rollout.view")):
            raise NotPermitted
        return Response(as_plain(read_status()), headers={"Cache-Control": "private, no-store"})
