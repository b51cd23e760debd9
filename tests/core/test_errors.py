import json
from importlib import import_module
from uuid import uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError
from django.http import Http404
from psycopg import errors as postgres_errors

from carecollective.accounts.services import NotApproved
from carecollective.core import errors
from carecollective.help_requests.errors import HelpRequestNotFound, HelpRequestUnavailable, OwnRequest
from carecollective.messaging.errors import (
    ConversationExists,
    ConversationInactive,
    ConversationNotFound,
    IdempotencyConflict,
    MessageNotFound,
    MessagingUnavailable,
)
from carecollective.web.api import STATUS_BY_CODE, status_of

# The contract's table, word for word.
CONTRACT = {
    errors.ValidationRefused: ("validation_error", 400),
    errors.InvalidInput: ("invalid_input", 400),
    OwnRequest: ("invalid_input", 400),
    HelpRequestUnavailable: ("help_request_unavailable", 400),
    errors.Unauthorized: ("unauthorized", 401),
    errors.NotPermitted: ("permission_denied", 403),
    NotApproved: ("permission_denied", 403),
    errors.ActingAsAnother: ("permission_denied", 403),
    HelpRequestNotFound: ("help_request_not_found", 404),
    ConversationNotFound: ("conversation_not_found", 404),
    MessageNotFound: ("message_not_found", 404),
    ConversationExists: ("conversation_exists", 409),
    ConversationInactive: ("conversation_inactive", 409),
    IdempotencyConflict: ("idempotency_conflict", 409),
    errors.RateLimitExceeded: ("rate_limit_exceeded", 429),
    MessagingUnavailable: ("messaging_unavailable", 503),
    errors.DatabaseAway: ("database_error", 503),
    errors.DomainError: ("internal_server_error", 500),
}


@pytest.mark.parametrize("kind", CONTRACT, ids=lambda kind: kind.__name__)
def test_every_refusal_has_the_contracts_code_and_status(kind):
    assert (kind.code, status_of(kind)) == CONTRACT[kind]
    assert str(kind.message).strip().endswith((".", "request"))


def test_the_table_of_statuses_holds_every_code_and_no_other():
    import_module("carecollective.urls")  # and with it every app
    assert {kind.code for kind in _all_kinds(errors.DomainError)} == set(STATUS_BY_CODE)


def _all_kinds(kind):
    return {kind}.union(*map(_all_kinds, kind.__subclasses__()))


def test_a_refusal_in_json_is_the_envelope():
    key = uuid4()
    refusal = ConversationExists(conversation_id=key, version="v2")
    answer = errors.envelope(refusal)
    assert answer == {
        "success": False,
        "error": {
            "code": "conversation_exists",
            "message": "You are already talking about this request.",
            "conversation_id": str(key),
            "version": "v2",
        },
    }
    assert (refusal.conversation_id, refusal.version) == (key, "v2")


def test_a_validation_names_its_fields_and_says_the_first_sentence():
    refusal = errors.ValidationRefused({"title": ["Too long."], "category": ["Unknown."]})
    answer = errors.envelope(refusal)["error"]
    assert answer["message"] == "Too long."
    assert answer["fields"] == {"title": ["Too long."], "category": ["Unknown."]}


def test_whatever_an_envelope_carries_can_be_json():
    refusal = errors.DomainError(depth={"a": [1, 2.5, None, True, uuid4()]}, pair=("x", uuid4()))
    assert json.loads(json.dumps(errors.envelope(refusal)))["error"]["depth"]["a"][:4] == [1, 2.5, None, True]


def test_a_sentence_of_its_own_takes_the_place_of_the_usual_one():
    assert errors.DomainError("Only this once.").message == "Only this once."
    assert errors.DomainError.message == "Something went wrong on our side."


def test_retry_after_is_a_header_where_there_is_one():
    assert errors.answer_headers(errors.RateLimitExceeded(retry_after=42)) == {"Retry-After": "42"}
    assert errors.answer_headers(MessagingUnavailable()) == {"Retry-After": "300"}
    assert errors.answer_headers(errors.Unauthorized()) == {}


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("exception", "code"),
    [
        (ConversationInactive(), "conversation_inactive"),
        (Http404(), "not_found"),
        (PermissionDenied(), "permission_denied"),
        (OperationalError("server closed the connection"), "database_error"),
        (InterfaceError("connection already closed"), "database_error"),
        (caused(DatabaseError(), postgres_errors.ReadOnlySqlTransaction()), "database_error"),
        (caused(OperationalError(), postgres_errors.LockNotAvailable()), "database_error"),
        (caused(OperationalError(), postgres_errors.DeadlockDetected()), "database_error"),
    ],
)
def test_one_translator_knows_every_refusal(exception, code):
    found = errors.as_domain_error(exception)
    assert found is not None
    assert found.code == code
    if code == "database_error":
        assert errors.answer_headers(found) == {"Retry-After": "5"}


@pytest.mark.parametrize(
    "exception", [KeyError("x"), caused(ProgrammingError(), postgres_errors.InsufficientPrivilege()), AssertionError()]
)
def test_a_fault_of_ours_is_not_passed_off_as_a_refusal(exception):
    assert errors.as_domain_error(exception) is None


def test_methods_that_an_address_does_not_take_are_a_refusal_too():
    assert (errors.MethodNotAllowed.code, status_of(errors.MethodNotAllowed)) == ("method_not_allowed", 405)
