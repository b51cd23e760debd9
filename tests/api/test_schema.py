"""The published document: in step with the code, complete, and browsable without a network."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from carecollective.core.errors import DomainError
from carecollective.web.openapi import published_document
from tests.api.conftest import Caller
from tests.api.documented import DocumentedClient

OPERATIONS = {
    ("post", "/api/auth/token"),
    ("get", "/api/health"),
    ("get", "/api/health/live"),
    ("get", "/api/help-requests"),
    ("post", "/api/help-requests"),
    ("get", "/api/help-requests/{help_request_id}"),
    ("get", "/api/messaging/conversations"),
    ("get", "/api/messaging/conversations/{conversation_id}"),
    ("get", "/api/messaging/conversations/{conversation_id}/messages"),
    ("post", "/api/messaging/conversations/{conversation_id}/messages"),
    ("post", "/api/messaging/conversations/{conversation_id}/read"),
    ("post", "/api/messaging/help-requests/{help_request_id}/start-conversation"),
    ("get", "/api/rollout/me"),
}


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in published_document()["paths"].items()
        for method, operation in methods.items()
    }


def test_the_file_in_the_repository_is_in_step_with_the_code(tmp_path: Path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "openapi.yaml"))
    kept = Path(settings.BASE_DIR, "docs", "openapi.yaml").read_text()
    assert kept == (tmp_path / "openapi.yaml").read_text(), "run make schema"


def test_it_is_openapi_3_1_and_names_every_call_of_the_contract() -> None:
    answer = Client().get("/api/schema")
    assert answer["Content-Type"] == "application/json"
    assert answer.json()["openapi"].startswith("3.1")
    assert operations().keys() >= OPERATIONS
    assert Client().get("/api/schema", headers={"Accept": "application/yaml"}).content.startswith(b"openapi: 3.1")


def test_every_call_except_sign_in_and_health_needs_credentials() -> None:
    for (method, path), operation in operations().items():
        secured = {name for requirement in operation.get("security", []) for name in requirement}
        if path in ("/api/auth/token", "/api/health", "/api/health/live"):
            assert not secured
        else:
            assert secured == {"bearer", "token", "session"}, (method, path)
            assert "401" in operation["responses"]


def test_every_refusal_is_documented_by_an_example_of_its_code() -> None:
    document = str(published_document())

    def codes(error: type[DomainError]) -> set[str]:
        return {error.code}.union(*(codes(sort) for sort in error.__subclasses__()))

    ours = codes(DomainError) - {"not_found", "method_not_allowed"}
    in_table = {
        "validation_error",
        "invalid_input",
        "help_request_unavailable",
        "unauthorized",
        "permission_denied",
        "help_request_not_found",
        "conversation_not_found",
        "message_not_found",
        "conversation_exists",
        "conversation_inactive",
        "idempotency_conflict",
        "rate_limit_exceeded",
        "messaging_unavailable",
        "database_error",
        "internal_server_error",
    }
    assert in_table <= ours
    for code in in_table:
        assert f"'code': '{code}'" in document


def test_an_example_shows_a_v2_poll_without_the_first_message() -> None:
    place = "/api/messaging/conversations/{conversation_id}"

    def example(path: str) -> dict[str, Any]:
        content = operations()["get", path]["responses"]["200"]["content"]["application/json"]
        (found,) = content["examples"].values()
        return dict(found["value"])

    thread, poll = example(place), example(f"{place}/messages")
    first = thread["conversation"]["initial_message"]
    assert first
    assert thread["messages"] == poll["messages"]
    assert first not in [message["content"] for message in poll["messages"]]


def test_what_the_rollout_says_of_me_is_as_documented(caller: Caller, helper: Any) -> None:
    assert caller(helper).get("/api/rollout/me").json()["version"] == "v2"


def test_the_docs_need_no_network_and_no_inline_code() -> None:
    answer = Client().get("/api/docs")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "unsafe" not in answer["Content-Security-Policy"]
    for address in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert address.startswith("/"), address
    assert not re.search(r"<style|<script(?![^>]*src=)|style=|\son\w+=", page)


@pytest.mark.parametrize("path", ["/api/schema", "/api/docs"])
def test_schema_and_docs_are_readable_signed_out(path: str) -> None:
    assert Client().get(path).status_code == 200


def test_the_health_check_answers_as_documented(anyone: DocumentedClient) -> None:
    assert anyone.get("/api/health").json()["checks"]["database"] == {"ok": True}
