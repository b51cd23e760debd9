"""Tokens of one's own, and signing out: here, and everywhere."""

from typing import Any

import pytest
from django.test import Client
from knox.models import AuthToken
from rest_framework.test import APIClient

from carecollective.accounts.models import User
from tests.api.conftest import Caller
from tests.api.documented import DocumentedClient

TOKENS = "/api/auth/tokens"
SIGN_OUT = "/api/auth/sign-out"
ME = "/api/rollout/me"


def is_in(client: Any) -> bool:
    return {200: True, 401: False}[client.get(ME).status_code]


def test_my_tokens_are_listed_without_the_token_itself(caller: Caller, helper: User, owner: User) -> None:
    first, second = caller(helper), caller(helper)
    caller(owner)
    answer = second.get(TOKENS)
    assert [token["is_current"] for token in answer.json()["results"]] == [True, False]
    for name in ("digest", "token_key"):
        for secret in AuthToken.objects.values_list(name, flat=True):
            assert secret not in answer.content.decode()
    assert first.get(TOKENS).json()["results"][1]["is_current"]


def test_ending_a_token_ends_that_one_and_nobody_ends_anothers(caller: Caller, helper: User, owner: User) -> None:
    first, second, other = caller(helper), caller(helper), caller(owner)
    (mine,) = [token["id"] for token in second.get(TOKENS).json()["results"] if not token["is_current"]]
    (theirs,) = [token["id"] for token in other.get(TOKENS).json()["results"]]
    for unknown in (theirs, "0" * 16, "x", mine[:4], "%", "_" * 16):
        answer = second.delete(f"{TOKENS}/{unknown}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    answer = second.delete(f"{TOKENS}/{mine}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (is_in(first), is_in(second), is_in(other)) == (False, True, True)


def test_a_token_that_has_run_out_is_in_no_list(caller: Caller, helper: User) -> None:
    client = caller(helper)
    AuthToken.objects.create(user=helper, expiry=-AuthToken.objects.get().expiry.resolution)
    assert len(client.get(TOKENS).json()["results"]) == 1


def test_signing_out_ends_the_token_or_session_of_the_call(caller: Caller, helper: User, signed_in: Any) -> None:
    program, other, browser = caller(helper), caller(helper), signed_in(helper)
    assert program.post(SIGN_OUT).status_code == 204
    assert (is_in(program), is_in(other), is_in(browser)) == (False, True, True)
    assert browser.post(SIGN_OUT, {"everywhere": False}, content_type="application/json").status_code == 204
    assert (is_in(other), is_in(browser)) == (True, False)


@pytest.mark.parametrize("by", ["token", "session"])
def test_signing_out_everywhere_leaves_nobody_signed_in(
    caller: Caller, helper: User, owner: User, signed_in: Any, by: str
) -> None:
    inside = [caller(helper), caller(helper), signed_in(helper), signed_in(helper)]
    others = [caller(owner), signed_in(owner)]
    if by == "token":
        assert inside[0].post(SIGN_OUT, {"everywhere": True}, format="json").status_code == 204
    else:
        answer = inside[2].post(SIGN_OUT, {"everywhere": True}, content_type="application/json")
        assert answer.status_code == 204
    assert [is_in(client) for client in inside] == [False] * 4
    assert [is_in(client) for client in others] == [True] * 2
    helper.refresh_from_db()
    assert is_in(caller(helper)), "who signs in again is in"
    assert is_in(signed_in(helper))


def test_signing_out_takes_a_plain_true_or_false(caller: Caller, helper: User) -> None:
    client = caller(helper)
    for wrong in ("yes", 1, None, "true", [True]):
        answer = client.post(SIGN_OUT, {"everywhere": wrong}, format="json")
        assert (answer.status_code, set(answer.json()["error"]["fields"])) == (400, {"everywhere"})
    assert is_in(client)


def test_a_session_signs_out_by_api_only_with_its_csrf_token(helper: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(helper, backend="django.contrib.auth.backends.ModelBackend")
    assert browser.post(SIGN_OUT).status_code == 403
    assert is_in(browser)


@pytest.mark.parametrize("scheme", ["Token", "token", "Bearer", "bearer", "BEARER"])
def test_a_token_works_by_either_scheme(helper: User, scheme: str) -> None:
    _kept, token = AuthToken.objects.create(user=helper)
    client = DocumentedClient()
    client.credentials(HTTP_AUTHORIZATION=f"{scheme} {token}")
    assert is_in(client)


@pytest.mark.parametrize("given", ["Bearer", "Bearer ", "Bearer a b", "Bearer \xff", "Basic YTpi", "Bearertoken"])
def test_what_is_no_token_is_refused_and_names_both_schemes(db: None, given: str) -> None:
    client = APIClient()
    answer = client.get(ME, HTTP_AUTHORIZATION=given)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert answer["WWW-Authenticate"] == "Token, Bearer"


def test_the_account_page_ends_tokens_and_signs_out_everywhere(caller: Caller, helper: User, signed_in: Any) -> None:
    program, kept, browser, other = caller(helper), caller(helper), signed_in(helper), signed_in(helper)
    page = browser.get("/account").content.decode()
    (mine,) = [token["id"] for token in program.get(TOKENS).json()["results"] if token["is_current"]]
    # Two tokens, and the session of the other browser.
    assert page.count("Sign this one out") == 3
    assert f'action="/account/tokens/{mine}"' in page
    answer = browser.post(f"/account/tokens/{mine}", follow=True)
    assert "That app or program is signed out." in answer.content.decode()
    assert (is_in(program), is_in(kept)) == (False, True)
    assert "You are signed out" in browser.post("/account/sign-out", follow=True).content.decode()
    assert [is_in(client) for client in (kept, browser, other)] == [False] * 3
