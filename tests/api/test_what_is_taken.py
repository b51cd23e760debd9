"""What a call takes, the document allows: a program that follows it is never stricter than the site."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from carecollective.accounts.models import User
from carecollective.core.text import MESSAGE_MAX
from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.services import DESCRIPTION_MAX, TITLE_MAX
from carecollective.web.openapi import published_document
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db

REQUESTS = "/api/help-requests"
CONVERSATIONS = "/api/messaging/conversations"
START = "/api/messaging/help-requests/{help_request_id}/start-conversation"
SPACE = " \r\n" * 40


def body_schema(path: str) -> dict[str, Any]:
    document = published_document()
    schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return {**schema, "components": document["components"]}


def test_space_around_a_text_is_counted_by_neither(caller: Caller, helper: User, groceries: HelpRequest) -> None:
    client = caller(helper)
    asked = {"title": f"{SPACE}{'t' * TITLE_MAX}{SPACE}", "description": f"{SPACE}{'d' * DESCRIPTION_MAX}{SPACE}"}
    offered = {"initial_message": f"{SPACE}{'w' * MESSAGE_MAX}{SPACE}"}
    said = {"content": f"{SPACE}{'w' * MESSAGE_MAX}{SPACE}"}
    started = client.post(START.format(help_request_id=groceries.pk), offered, format="json")
    thread = f"{CONVERSATIONS}/{started.json()['conversation_id']}/messages"
    assert started.status_code == 201
    assert client.post(REQUESTS, asked, format="json").status_code == 201
    assert client.post(thread, said, format="json").status_code == 201
    messages = f"{CONVERSATIONS}/{{conversation_id}}/messages"
    for path, body in ((REQUESTS, asked), (START, offered), (messages, said)):
        Draft202012Validator(body_schema(path)).validate(body)


QUERIES = {
    REQUESTS: ("category", "cursor", "q", "status", "urgency"),
    CONVERSATIONS: ("cursor",),
    f"{CONVERSATIONS}/{{conversation_id}}": ("before",),
    f"{CONVERSATIONS}/{{conversation_id}}/messages": ("after",),
}


@pytest.mark.parametrize("path", QUERIES)
def test_an_empty_parameter_counts_as_absent_as_documented(
    caller: Caller, helper: User, groceries: HelpRequest, path: str
) -> None:
    client = caller(helper)
    offer = {"initial_message": "I can come tomorrow."}
    started = client.post(START.format(help_request_id=groceries.pk), offer, format="json").json()
    address = path.format(conversation_id=started["conversation_id"])
    with_none = client.get(address)
    documented = {
        parameter["name"]: parameter.get("allowEmptyValue")
        for parameter in published_document()["paths"][path]["get"]["parameters"]
        if parameter["in"] == "query"
    }
    assert documented == dict.fromkeys(QUERIES[path], True)
    for name in documented:
        answer = client.get(f"{address}?{name}=")
        assert (answer.status_code, answer.json()) == (200, with_none.json())
