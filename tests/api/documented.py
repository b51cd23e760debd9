"""A client that holds every answer against the published schema."""

from functools import cache
from typing import Any

from django.urls import Resolver404, resolve
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from rest_framework.test import APIClient

from carecollective.web.openapi import ERROR, published_document

Answer = Any


class DocumentedClient(APIClient):
    """Each answer must have a documented status, and exactly the fields documented for it."""

    def request(self, **kwargs: Any) -> Answer:
        answer = super().request(**kwargs)
        if kwargs.get("PATH_INFO", "").startswith("/api/"):
            check(kwargs["REQUEST_METHOD"], kwargs["PATH_INFO"], answer)
        return answer


def check(method: str, path: str, answer: Answer) -> None:
    schema = documented(method, path, answer.status_code)
    if schema is None:
        assert answer.content == b""
        return
    validator = Draft202012Validator(
        schema | {"components": closed_components()}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    validator.validate(answer.json())


def documented(method: str, path: str, status: int) -> dict[str, Any] | None:
    """Return the schema of this answer's body, or None where it has none."""
    try:
        route = resolve(path).route
    except Resolver404:
        return ERROR
    operations = published_document()["paths"]["/" + route.replace("<str:", "{").replace(">", "}")]
    if method.lower() not in operations:
        assert status in (401, 405)
        return ERROR
    responses = operations[method.lower()]["responses"]
    assert str(status) in responses, f"{method} {path} answers {status}, which is not documented"
    response = responses[str(status)]
    if "$ref" in response:
        response = published_document()["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    content = response.get("content")
    return dict(content["application/json"]["schema"]) if content else None


@cache
def closed_components() -> dict[str, Any]:
    """The components as the document has them, but taking no field that it does not name."""
    schemas = published_document()["components"]["schemas"]
    return {
        "schemas": {
            name: schema | ({"additionalProperties": False} if "properties" in schema else {})
            for name, schema in schemas.items()
        }
    }
