"""The API of help requests, on the same services as the pages."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from carecollective.accounts.authentication import member_of
from carecollective.accounts.services import NotApproved
from carecollective.core import errors
from carecollective.help_requests.errors import HelpRequestNotFound
from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.selectors import SEARCH_MAX, RequestFilters, find_request, list_requests
from carecollective.help_requests.serializers import (
    HelpRequestPageSerializer,
    HelpRequestSerializer,
    NewHelpRequestSerializer,
)
from carecollective.help_requests.services import post_request
from carecollective.web.api import ApiView, page_body, parse_uuid, read_cursor, read_fields
from carecollective.web.openapi import CURSOR, LOCATION, path_id, ref, refusals

OTHER_FINDS = "`other` also finds what the legacy system left empty, and its words that are not listed here."


class HelpRequestsView(ApiView):
    @extend_schema(
        operation_id="list_help_requests",
        summary="Help requests, newest first",
        description="Pages of 20; `next_cursor` leads to the older ones.",
        tags=["help requests"],
        parameters=[
            OpenApiParameter("status", type=ref("HelpRequestStatusFilter"), description=OTHER_FINDS),
            OpenApiParameter("category", type=ref("HelpRequestCategory"), description=OTHER_FINDS),
            OpenApiParameter("urgency", type=ref("HelpRequestUrgencyFilter"), description=OTHER_FINDS),
            OpenApiParameter(
                "q",
                description="Words that title or description hold, in any case, with or without accents.",
                type={"type": "string", "maxLength": SEARCH_MAX, "pattern": "^[^\\u0000]*$"},
            ),
            CURSOR,
        ],
        responses={
            200: HelpRequestPageSerializer,
            **refusals(errors.ValidationRefused({"status": ["This is not one of the choices."]})),
        },
    )
    def get(self, request: Request) -> Response:
        filters = RequestFilters.parse(request.query_params)
        return Response(page_body(request, list_requests(filters=filters, cursor=read_cursor(request)), render))

    @extend_schema(
        operation_id="post_help_request",
        summary="Ask for help",
        description="For members whom staff have approved.",
        tags=["help requests"],
        parameters=[LOCATION],
        request=NewHelpRequestSerializer,
        responses={
            201: HelpRequestSerializer,
            **refusals(
                errors.ValidationRefused({"title": ["Please say in a few words what you need."]}),
                NotApproved(),
                errors.ActingAsAnother(),
            ),
        },
    )
    def post(self, request: Request) -> Response:
        given = read_fields(request, NewHelpRequestSerializer)
        posted = post_request(
            actor=member_of(request),
            title=given["title"],
            description=given["description"],
            category=given["category"],
            urgency=given["urgency"],
        )
        location = request.build_absolute_uri(reverse("api-help-request", args=[posted.pk]))
        return Response(render(posted), status=201, headers={"Location": location})


class HelpRequestView(ApiView):
    @extend_schema(
        operation_id="get_help_request",
        summary="One help request",
        description="Open or not, to every member.",
        tags=["help requests"],
        parameters=[path_id("help_request_id")],
        responses={200: HelpRequestSerializer, **refusals(errors.InvalidInput(), HelpRequestNotFound())},
    )
    def get(self, request: Request, help_request_id: str) -> Response:
        return Response(render(find_request(parse_uuid(help_request_id))))


def render(request: HelpRequest) -> dict[str, Any]:
    return {
        "id": request.pk,
        "title": request.title,
        "description": request.description,
        "category": request.category,
        "urgency": request.urgency,
        "status": request.status,
        "created_at": request.created_at,
        "owner": {"id": request.user.pk, "name": request.user.name},
    }
