"""What the OpenAPI document says beyond single views: errors, headers, health checks, authentication."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import Direction, OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from carecollective.core.errors import (
    BodyTooLarge,
    DatabaseAway,
    DomainError,
    DomainNotFound,
    MethodNotAllowed,
    RequestTimeout,
    Unauthorized,
    envelope,
)
from carecollective.web.api import InternalServerError, status_of
from carecollective.web.health import HealthStatus

Schema = dict[str, Any]

# Written by hand, in OpenAPI's own words.
_FIXED = yaml.safe_load(Path(__file__).with_name("openapi_fixed.yaml").read_text())
HEADERS: Schema = _FIXED["headers"]
ERROR: Schema = _FIXED["schemas"]["ErrorResponse"]


def ref(name: str) -> Schema:
    """Return a reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


# Any address can answer these before an operation is found, besides the codes of the operations.
CODES_OF_ANY_ADDRESS = {error.code for error in (DomainNotFound, MethodNotAllowed, RequestTimeout, BodyTooLarge)}

HEADERS_BY_STATUS = {
    "401": ["WWW-Authenticate"],
    "429": ["Retry-After", "RateLimit", "RateLimit-Policy"],
    "503": ["Retry-After"],
}

CURSOR = OpenApiParameter("cursor", description="A place in the list, as `next` and `previous` give it.")
LOCATION = OpenApiParameter(
    "Location", OpenApiTypes.URI, OpenApiParameter.HEADER, response=[201], description="The address of what was made."
)
RATE_LIMIT = [
    OpenApiParameter(
        name, OpenApiTypes.STR, OpenApiParameter.HEADER, response=[201], description=HEADERS[name]["description"]
    )
    for name in ("RateLimit", "RateLimit-Policy")
]


def path_id(name: str) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.UUID, OpenApiParameter.PATH)


def refusals(*errors: DomainError) -> dict[int, OpenApiResponse]:
    """Describe the refusals of an operation by examples, for `extend_schema(responses=…)`.

    The refusals of every operation (`COMMON`) are added by `complete_schema`.
    """
    by_status: dict[int, list[DomainError]] = defaultdict(list)
    for error in errors:
        by_status[status_of(error)].append(error)
    if 503 in by_status:
        by_status[503].append(DatabaseAway())
    return {
        status: OpenApiResponse(
            ref("ErrorResponse"),
            description=_codes(found),
            examples=[
                OpenApiExample(type(error).__name__, value=envelope(error), response_only=True) for error in found
            ],
        )
        for status, found in sorted(by_status.items())
    }


COMMON = (Unauthorized(), InternalServerError(request_id="5f0c7a52d9b84f3c"), DatabaseAway())


def _common_response(error: DomainError) -> Schema:
    content = {"schema": ref("ErrorResponse"), "example": envelope(error)}
    response = {"description": _codes([error]), "content": {"application/json": content}}
    _complete_response(str(status_of(error)), response)
    return response


def _codes(errors: Iterable[DomainError]) -> str:
    return ", ".join(dict.fromkeys(f"`{error.code}`" for error in errors))


def complete_schema(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """Add the common refusals, the headers of answers and the health checks."""
    common = {type(error).__name__: _common_response(error) for error in (*COMMON, BodyTooLarge())}
    for operations in result["paths"].values():
        for operation in operations.values():
            _complete_operation(operation)
    result["paths"] = dict(sorted({**result["paths"], **_FIXED["paths"]}.items()))
    components = result["components"]
    components["schemas"].pop("NullEnum", None)
    _spell_null(result)
    components["schemas"] |= {
        **_FIXED["schemas"],
        "ErrorCode": {
            "type": "string",
            "enum": sorted(CODES_OF_ANY_ADDRESS | set(_documented_codes([result, common]))),
            "description": "Stays the same: for programs. New ones may be added.",
        },
        "HealthStatus": {"type": "string", "enum": [*HealthStatus]},
    }
    components["schemas"] = dict(sorted(components["schemas"].items()))
    components |= {"responses": common, "headers": HEADERS}
    return result


def _spell_null(node: Any) -> None:
    """Write `null` as a type: generators make a class of an enumeration that holds only null."""
    if isinstance(node, dict):
        for name, inner in node.items():
            if inner == ref("NullEnum"):
                node[name] = {"type": "null"}
            _spell_null(inner)
    elif isinstance(node, list):
        node[:] = [{"type": "null"} if inner == ref("NullEnum") else inner for inner in node]
        for inner in node:
            _spell_null(inner)


def _documented_codes(node: Any) -> Iterator[str]:
    """Return the code of each refusal in the document's examples."""
    if isinstance(node, dict):
        if node.get("success") is False and "error" in node:
            yield str(node["error"]["code"])
        for inner in node.values():
            yield from _documented_codes(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _documented_codes(inner)


def _complete_operation(operation: Schema) -> None:
    responses = operation["responses"]
    for status, response in responses.items():
        _complete_response(status, response)
    for error in COMMON:
        if status_of(error) != 401 or any(operation.get("security", [])):
            reference = {"$ref": f"#/components/responses/{type(error).__name__}"}
            responses.setdefault(str(status_of(error)), reference)
    if "requestBody" in operation:
        responses.setdefault("413", {"$ref": "#/components/responses/BodyTooLarge"})
    operation["responses"] = dict(sorted(responses.items()))
    for parameter in operation.get("parameters", []):
        # A form sends `?status=` when its field was left empty.
        if parameter["in"] == "query":
            parameter["allowEmptyValue"] = True


def _complete_response(status: str, response: Schema) -> None:
    response["description"] = response["description"] or HTTPStatus(int(status)).phrase
    names = ["X-Request-ID", *HEADERS_BY_STATUS.get(status, [])]
    shared = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    response["headers"] = response.get("headers", {}) | shared


@cache
def published_document() -> Schema:
    """Return the document, made once: it depends on the code alone."""
    return dict(SchemaGenerator().get_schema(request=None, public=True))  # type: ignore[no-untyped-call]


class SchemaView(SpectacularAPIView):
    # JSON first, for clients that accept anything: JSON is YAML too.
    renderer_classes = SpectacularAPIView.renderer_classes[::-1]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(published_document(), headers={"Cache-Control": "public, max-age=300"})


class DocsView(SpectacularSwaggerSplitView):
    template_name = "api/docs.html"


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """One token under two names in the header: `Bearer`, which programs know, and the older `Token`."""

    target_class = "carecollective.accounts.authentication.TokenAuthentication"
    name = ["bearer", "token"]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[Schema]:
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[Schema]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "description": "`Bearer <key>`, with a key from `/api/auth/token`. No cookies are needed or set.",
            },
            {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "`Token <key>`: the same key by another name.",
            },
        ]


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "rest_framework.authentication.SessionAuthentication"
    name = "session"
    priority = 1

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": settings.SESSION_COOKIE_NAME,
            "description": "The site's own sign-in; a call that writes also needs the header `X-CSRFToken`.",
        }


class RawTextScheme(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "carecollective.web.api.RawTextField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> Schema:
        documented = dict(self.target.documented)
        return documented if documented.keys() & {"$ref", "anyOf"} else {"type": "string"} | documented
