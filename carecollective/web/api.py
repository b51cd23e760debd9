"""What every API view shares: the error envelope, statuses of refusals, ids, bodies and pages of lists."""

import logging
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any, ClassVar
from uuid import UUID

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView, set_rollback

from carecollective.core import errors
from carecollective.core.pagination import Cursor, Page, Row
from carecollective.observability import request_ids
from carecollective.web.json_bodies import StrictJSONParser

logger = logging.getLogger(__name__)

MALFORMED = _("This is not the JSON object that this address takes.")
ACTOR_FIELDS = ("helper_id", "requester_id", "sender_id", "user_id")


# The HTTP status of each refusal, by its code.
STATUS_BY_CODE = {
    "invalid_input": 400,
    "validation_error": 400,
    "help_request_unavailable": 400,
    "unauthorized": 401,
    "permission_denied": 403,
    "not_found": 404,
    "help_request_not_found": 404,
    "conversation_not_found": 404,
    "message_not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "conversation_exists": 409,
    "conversation_inactive": 409,
    "idempotency_conflict": 409,
    "promotion_refused": 409,
    "proposal_stale": 409,
    "proposal_unproven": 409,
    "proposal_pending": 409,
    "proposal_settled": 409,
    "approval_not_accepted": 409,
    "nothing_to_change": 409,
    "nothing_to_certify": 409,
    "root_cause_filed": 409,
    "channel_not_configured": 409,
    "signed_too_early": 409,
    "request_too_large": 413,
    "rate_limit_exceeded": 429,
    "internal_server_error": 500,
    "messaging_unavailable": 503,
    "database_error": 503,
    "rollback_not_written": 503,
}
# What the server refuses before it is a request: HTTP has a more exact status than that of the code.
STATUS_BY_TYPE: dict[type[errors.DomainError], int] = {
    errors.AddressTooLong: 414,
    errors.ExpectationFailed: 417,
    errors.HeadersTooLarge: 431,
    errors.UnknownTransferCoding: 501,
}


def status_of(error: errors.DomainError | type[errors.DomainError]) -> int:
    """Return the HTTP status that a refusal is answered with."""
    kind = error if isinstance(error, type) else type(error)
    return STATUS_BY_TYPE.get(kind) or STATUS_BY_CODE[kind.code]


class AlwaysJSON(DefaultContentNegotiation):
    """Answer in JSON whatever `Accept` asks for: that is more useful than a refusal."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type or ""


class ApiView(APIView):
    content_negotiation_class = AlwaysJSON

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # OPTIONS is answered without signing in.
        if request.method != "OPTIONS":
            super().initial(request, *args, **kwargs)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer: Any = super().finalize_response(request, response, *args, **kwargs)
        context = getattr(answer, "renderer_context", None)
        if context is not None:
            answer.add_post_render_callback(partial(_take_apart, context))
        return answer

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Answer with the allowed methods, in the header `Allow`."""
        return Response(status=204)


def _take_apart(context: dict[str, Any], _answer: Response) -> None:
    """Let view, call and answer hold each other no longer: the garbage collector would have to find each of them."""
    context["request"].parser_context.clear()
    vars(context["view"]).clear()
    context.clear()


class InternalServerError(errors.DomainError):
    message = _("Something went wrong on our side. Please try again; if it stays, send us this id.")


class TooManyTries(errors.RateLimitExceeded):
    message = _("Too many tries. Please wait a while before the next one.")


def answer_exception(exception: Exception, context: dict[str, Any]) -> Response:
    """Answer any exception of an API view in the error envelope. Unexpected ones are logged, not shown."""
    error = as_answer(exception)
    if error is None:
        logger.error("Unhandled exception in the API", exc_info=exception)
        error = InternalServerError(request_id=request_ids.current())
    set_rollback()
    response = Response(errors.envelope(error), status=status_of(error), headers=errors.answer_headers(error))
    if response.status_code == 401:
        response["WWW-Authenticate"] = "Token, Bearer"
    return response


def as_answer(exception: Exception) -> errors.DomainError | None:
    """Return the refusal for an exception of Django REST framework or ours, or None for an unexpected one."""
    match exception:
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return errors.Unauthorized()
        case exceptions.PermissionDenied(detail=detail) if str(detail).startswith("CSRF"):
            return errors.NotPermitted(_("This page was open for too long. Please reload it and try again."))
        case exceptions.PermissionDenied():
            return errors.NotPermitted()
        case exceptions.ValidationError(detail=dict() as fields):
            return errors.ValidationRefused({str(name): _sentences(found) for name, found in fields.items()})
        case RequestDataTooBig():
            return errors.BodyTooLarge()
        case exceptions.ValidationError() | exceptions.ParseError() | SuspiciousOperation():
            return errors.ValidationRefused({"body": [MALFORMED]})
        case exceptions.UnsupportedMediaType():
            return errors.ValidationRefused({"body": [_("Please send JSON, as application/json.")]})
        case exceptions.MethodNotAllowed():
            return errors.MethodNotAllowed()
        case exceptions.NotAcceptable():
            return errors.InvalidInput(_("This address answers in JSON only."))
        case exceptions.Throttled():
            return TooManyTries(retry_after=int(getattr(exception, "wait", None) or 60))
        case _:
            return errors.as_domain_error(exception)


def _sentences(found: Any) -> list[str]:
    if isinstance(found, dict):
        return [sentence for item in found.values() for sentence in _sentences(item)]
    if isinstance(found, list):
        return [sentence for item in found for sentence in _sentences(item)]
    return [str(found)]


def parse_uuid(text: str) -> UUID:
    """Parse a UUID in its usual spelling. Raises InvalidInput for any other."""
    try:
        parsed = UUID(text)
    except ValueError:
        raise errors.InvalidInput from None
    if str(parsed) != text.lower():
        raise errors.InvalidInput
    return parsed


def read_fields(request: Request, shape: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Return the body's fields that the serializer `shape` names; others are ignored.

    Raises ActingAsAnother when the body names another member as the acting one; ValidationRefused or the framework's
    ValidationError for anything but an object with the required fields.
    """
    body = _body_of_call(request)
    if not isinstance(body, dict):
        raise errors.ValidationRefused({"body": [MALFORMED]})
    named = [str(body[name]).lower() for name in ACTOR_FIELDS if body.get(name) is not None]
    if named and request.user.is_authenticated and set(named) != {str(request.user.pk)}:
        raise errors.ActingAsAnother
    return dict(_reader_of(shape).run_validation(body))


def _body_of_call(request: Request) -> Any:
    """Return what the body says. `request.data` would look for parsers, forms and files first, for twice the CPU."""
    plain = request._request
    is_plain = plain.content_type == StrictJSONParser.media_type and plain.META.get("CONTENT_LENGTH", "").isdecimal()
    return StrictJSONParser().parse_bytes(plain.body) if is_plain and plain.body else request.data


@cache
def _reader_of(shape: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """Return the serializer that reads every body of this shape: it keeps nothing of one, and is costly to make."""
    return shape()


def read_cursor(request: Request | HttpRequest) -> Cursor | None:
    """Return the place in a list that `?cursor=` names. Raises ValidationRefused for an unknown one."""
    text = request.GET.get("cursor")
    return Cursor.parse(text) if text else None


def page_body(request: Request, page: Page[Row], render: Callable[[Row], dict[str, Any]]) -> dict[str, Any]:
    """Return one page of a list, with the addresses of the next and previous ones."""
    here = request.build_absolute_uri()

    def address(cursor: Cursor | None) -> str | None:
        if cursor is None:
            return None
        # The first page is asked for most, and its address has nothing to replace.
        return replace_query_param(here, "cursor", str(cursor)) if "?" in here else f"{here}?cursor={cursor}"

    return {
        "results": [render(row) for row in page.rows],
        "next": address(page.next),
        "previous": address(page.previous),
        "next_cursor": str(page.next) if page.next else None,
        "previous_cursor": str(page.previous) if page.previous else None,
    }


class PageSerializer(serializers.Serializer[Any]):
    """The next and previous pages of a list, as addresses and as cursors."""

    next = serializers.URLField(allow_null=True, help_text="The address of the older ones.")
    previous = serializers.URLField(allow_null=True, help_text="The address of the newer ones.")
    next_cursor = serializers.CharField(allow_null=True, help_text="The `cursor` of the older ones.")
    previous_cursor = serializers.CharField(allow_null=True, help_text="The `cursor` of the newer ones.")


class RawTextField(serializers.Field[Any, Any, Any, Any]):
    """Text without validation: the services validate, for pages and API alike.

    `documented` tells the OpenAPI document what they accept (`minLength`, `enum`, …). `longest` tells it as a sentence,
    because surrounding space does not count, and `maxLength` would count it.
    """

    default_error_messages: ClassVar = {
        "required": _("This is needed, as text."),
        "null": _("This is needed, as text."),
    }

    def __init__(self, *, documented: dict[str, Any] | None = None, longest: int | None = None, **kwargs: Any) -> None:
        self.documented = documented or {}
        if longest is not None:
            kwargs["help_text"] = f"At most {longest} characters, not counting space around them."
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class StrictBooleanField(serializers.BooleanField):
    """JSON's true or false; the framework's field also accepts "yes" and 1."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class StrictUUIDField(serializers.UUIDField):
    """A UUID in its usual spelling; the framework's field also accepts a number."""

    def to_internal_value(self, data: Any) -> UUID:
        try:
            return parse_uuid(data if isinstance(data, str) else "")
        except errors.InvalidInput:
            message = _("This id is not a UUID.")
            raise errors.InvalidInput(message, fields={str(self.field_name): [message]}) from None
