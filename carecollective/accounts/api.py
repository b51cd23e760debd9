"""Signing in for programs."""

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from carecollective.accounts.serializers import SignInSerializer, TokenSerializer
from carecollective.accounts.services import issue_token
from carecollective.core import errors
from carecollective.core.api import ApiView, TooManyTries, read_fields
from carecollective.core.schema import refusals


class TokenView(ApiView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        operation_id="sign_in",
        summary="Exchange e-mail and password for a token",
        description="Only failed sign-ins count towards a lock-out.",
        tags=["accounts"],
        request=SignInSerializer,
        responses={
            200: TokenSerializer,
            **refusals(
                errors.ValidationRefused({"password": ["This is needed, as text."]}),
                errors.Unauthorized("E-mail address and password do not match."),
                TooManyTries(),
            ),
        },
    )
    def post(self, request: Request) -> Response:
        given = read_fields(request, SignInSerializer)
        issued = issue_token(request=request._request, email=given["email"], password=given["password"])
        return Response({"token": issued.token, "expiry": issued.expiry}, headers={"Cache-Control": "no-store"})
