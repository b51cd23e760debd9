"""The API of accounts: signing in and out, and the caller's own tokens."""

from dataclasses import asdict

from django.contrib.auth import logout
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from knox.models import AuthToken
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from carecollective.accounts.authentication import member_of
from carecollective.accounts.serializers import (
    OwnTokensSerializer,
    SignInSerializer,
    SignOutSerializer,
    TokenSerializer,
)
from carecollective.accounts.services import SecondFactorNeeded, issue_token
from carecollective.accounts.sign_in import tokens
from carecollective.core import errors
from carecollective.web.api import ApiView, TooManyTries, read_fields
from carecollective.web.openapi import refusals


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
                SecondFactorNeeded(),
                TooManyTries(),
            ),
        },
    )
    def post(self, request: Request) -> Response:
        given = read_fields(request, SignInSerializer)
        issued = issue_token(
            request=request._request, email=given["email"], password=given["password"], code=given["code"]
        )
        return Response(asdict(issued), headers={"Cache-Control": "no-store"})


class TokensView(ApiView):
    @extend_schema(
        operation_id="list_tokens",
        summary="My own tokens, newest first",
        description="Never the token itself.",
        tags=["accounts"],
        responses={200: OwnTokensSerializer},
    )
    def get(self, request: Request) -> Response:
        current = request.auth if isinstance(request.auth, AuthToken) else None
        found = tokens.list_tokens(member=member_of(request), current=current)
        return Response({"results": [asdict(token) for token in found]})


class OwnTokenView(ApiView):
    @extend_schema(
        operation_id="end_token",
        summary="End one of my tokens",
        description="The token of this call may be ended too.",
        tags=["accounts"],
        parameters=[OpenApiParameter("token_id", OpenApiTypes.STR, OpenApiParameter.PATH)],
        responses={204: OpenApiResponse(description="It works no more."), **refusals(errors.DomainNotFound())},
    )
    def delete(self, request: Request, token_id: str) -> Response:
        tokens.end_token(actor=member_of(request), token_id=token_id)
        return Response(status=204)


class SignOutView(ApiView):
    @extend_schema(
        operation_id="sign_out",
        summary="Sign out",
        description="Ends the token or the session of this call, or with `everywhere` all of mine.",
        tags=["accounts"],
        request=SignOutSerializer,
        responses={
            204: OpenApiResponse(description="Signed out."),
            **refusals(
                errors.ValidationRefused({"everywhere": ["Must be a valid boolean."]}), errors.ActingAsAnother()
            ),
        },
    )
    def post(self, request: Request) -> Response:
        given = read_fields(request, SignOutSerializer)
        if given["everywhere"]:
            tokens.sign_out_everywhere(actor=member_of(request))
        if isinstance(request.auth, AuthToken):
            tokens.end_current(request.auth)
        else:
            logout(request._request)
        return Response(status=204)
