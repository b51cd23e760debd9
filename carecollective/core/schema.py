"""What the OpenAPI document says that no single view could: the error shape, the headers, the two ways to sign in."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import Direction, OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from carecollective.core.api import InternalServerError
from carecollective.core.errors import DatabaseAway, DomainError, Unauthorized, envelope

Schema = dict[str, Any]

ERROR: Schema = {
    "type": "object",
    "description": "Every refusal and every fault has this shape.",
    "required": ["success", "error"],
    "properties": {
        "success": {"const": False},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "Stays the same: for programs."},
                "message": {"type": "string", "description": "A sentence for the person who waits for the answer."},
                "fields": {
                    "type": "object",
                    "description": "With `validation_error`: what is wrong with each field.",
                    "additionalProperties": {"type": "array", "items": {"type": "string"}},
                },
                "conversation_id": {"type": "string", "format": "uuid", "description": "With `conversation_exists`."},
                "version": {"enum": ["v1", "v2"], "description": "With `conversation_exists`."},
                "way_on": {
                    "anyOf": [{"$ref": "#/components/schemas/WayOn"}, {"type": "null"}],
                    "description": "With `messaging_unavailable` for a frozen legacy conversation: how to go on.",
                },
                "request_id": {"type": "string", "description": "With `internal_server_error`: what to send us."},
            },
        },
    },
}

CHECK: Schema = {
    "type": "object",
    "required": ["ok"],
    "properties": {
        "ok": {"type": "boolean"},
        "message": {"type": "string", "description": "Where it is not: what is wrong, for a person."},
    },
}

HEALTH: Schema = {
    "type": "object",
    "required": ["status", "checks"],
    "properties": {
        "status": {"enum": ["ok", "degraded", "failing"]},
        "checks": {
            "type": "object",
            "description": "`database` (takes writes, has its tables), `worker`, `guard`, `messaging_v2` (has its tables)"
            " and `rollout_snapshot`.",
            "additionalProperties": CHECK,
            "examples": [{"database": {"ok": True}, "guard": {"ok": True, "seconds_since_look": 2.1}}],
        },
    },
}

ALIVE: Schema = {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}


def _monitored(name: str, summary: str, schema: str, descriptions: dict[int, str]) -> Schema:
    """Describe a call that monitors make: no sign-in, any Host, and none of the common refusals."""
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["operation"],
        "responses": {
            str(status): {
                "description": description,
                "headers": {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}},
                "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
            }
            for status, description in descriptions.items()
        },
    }


MONITORED: dict[str, Schema] = {
    "/api/health": _monitored(
        "health",
        "Whether this host can serve members; answers within 5 seconds",
        "Health",
        {
            200: "It can. `degraded` where the worker, the guard or V2's tables are missing; `checks` says which.",
            503: "It cannot; `checks` says why.",
        },
    ),
    "/api/health/live": _monitored(
        "health_live", "Whether the process serves; asks nothing of the database", "Alive", {200: "It does."}
    ),
}

HEADERS: Schema = {
    "X-Request-ID": {
        "description": "The request's id in our logs; yours, when you sent a well-formed one.",
        "schema": {"type": "string"},
    },
    "Retry-After": {"description": "Seconds to wait before another try.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"schema": {"const": "Token, Bearer"}},
}
HEADERS_BY_STATUS = {"401": ["WWW-Authenticate"], "429": ["Retry-After"], "503": ["Retry-After"]}

# JSON first, for whoever takes anything; it is YAML as well.
RENDERERS: list[type[BaseRenderer]] = [
    OpenApiJsonRenderer2,
    OpenApiJsonRenderer,
    OpenApiYamlRenderer2,
    OpenApiYamlRenderer,
]

CURSOR = OpenApiParameter("cursor", description="A place in the list, as `next` and `previous` give it.")
LOCATION = OpenApiParameter(
    "Location", OpenApiTypes.URI, OpenApiParameter.HEADER, response=[201], description="The address of what was made."
)


def path_id(name: str) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.UUID, OpenApiParameter.PATH)


def refusals(*errors: DomainError) -> dict[int, OpenApiResponse]:
    """Describe the refusals of an operation, each by an example, for `extend_schema(responses=…)`.

    What every operation can answer (`COMMON`) need not be named.
    """
    by_status: dict[int, list[DomainError]] = defaultdict(list)
    for error in errors:
        by_status[error.status].append(error)
    if 503 in by_status:
        by_status[503].append(DatabaseAway())
    return {
        status: OpenApiResponse(
            {"$ref": "#/components/schemas/Error"},
            description=_codes(found),
            examples=[
                OpenApiExample(type(error).__name__, value=envelope(error), response_only=True) for error in found
            ],
        )
        for status, found in sorted(by_status.items())
    }


COMMON = (Unauthorized(), InternalServerError(request_id="5f0c7a52d9b84f3c"), DatabaseAway())


def _common_response(error: DomainError) -> Schema:
    content = {"schema": {"$ref": "#/components/schemas/Error"}, "example": envelope(error)}
    return {"description": _codes([error]), "content": {"application/json": content}}


def _codes(errors: Iterable[DomainError]) -> str:
    return ", ".join(dict.fromkeys(f"`{error.code}`" for error in errors))


def complete_schema(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """Add what every operation shares: the common refusals, the answers' headers, the health checks."""
    common = {type(error).__name__: _common_response(error) for error in COMMON}
    for operations in result["paths"].values():
        for operation in operations.values():
            _complete_operation(operation)
    for error in COMMON:
        _complete_response(str(error.status), common[type(error).__name__])
    monitored = {path: {"get": operation} for path, operation in MONITORED.items()}
    result["paths"] = dict(sorted({**result["paths"], **monitored}.items()))
    components = result["components"]
    components["schemas"] |= {"Alive": ALIVE, "Error": ERROR, "Health": HEALTH}
    components["schemas"] = dict(sorted(components["schemas"].items()))
    components |= {"responses": common, "headers": HEADERS}
    return result


def _complete_operation(operation: Schema) -> None:
    responses = operation["responses"]
    for status, response in responses.items():
        _complete_response(status, response)
    for error in COMMON:
        if error.status != 401 or any(operation.get("security", [])):
            reference = {"$ref": f"#/components/responses/{type(error).__name__}"}
            responses.setdefault(str(error.status), reference)
    operation["responses"] = dict(sorted(responses.items()))


def _complete_response(status: str, response: Schema) -> None:
    response["description"] = response["description"] or HTTPStatus(int(status)).phrase
    names = ["X-Request-ID", *HEADERS_BY_STATUS.get(status, [])]
    shared = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    response["headers"] = response.get("headers", {}) | shared


@cache
def published_document() -> Schema:
    """The document, made once: it depends on nothing but the code."""
    return dict(SchemaGenerator().get_schema(request=None, public=True))  # type: ignore[no-untyped-call]


class SchemaView(SpectacularAPIView):
    renderer_classes = RENDERERS

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(published_document(), headers={"Cache-Control": "public, max-age=300"})


class DocsView(SpectacularSwaggerSplitView):
    template_name = "api/docs.html"


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "carecollective.accounts.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <key>`, with a key from `/api/auth/token`. No cookies are needed or set.",
        }


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
    target_class = "carecollective.core.api.RawTextField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> Schema:
        return {"type": "string"} | dict(self.target.documented)
