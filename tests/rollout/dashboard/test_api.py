import json
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import resolve
from pytest_django import Settings
from rest_framework.test import APIClient

from carecollective.accounts.models import User
from rollout.stages import DISABLED
from rollout.targeting.cohort import decision_for
from tests.rollout.conftest import MakeUser, Move

pytestmark = pytest.mark.django_db

ME = "/api/rollout/me"


Sign = Callable[..., APIClient]


def test_me_answers_with_version_reason_stage_and_bucket(api_client: Sign, make_user: MakeUser, move: Move) -> None:
    member = make_user()
    api = api_client(member)
    for stage in ("disabled", "internal", "percentage:33.3", "enabled"):
        move(stage)
        decision = decision_for(member)
        assert api.get(ME).json() == {
            "version": decision.version,
            "reason": decision.reason,
            "stage": stage,
            "bucket": decision.bucket,
        }


def test_the_version_is_null_when_no_conversation_can_start(api_client: Sign, make_user: MakeUser, move: Move) -> None:
    move("internal", v1_writes=False)
    answer = api_client(make_user()).get(ME).json()
    assert (answer["version"], answer["reason"]) == (None, "v1_frozen")


@pytest.mark.parametrize("stage", ["internal", "percentage:50", "enabled"])
def test_devices_token_and_command_give_one_answer_and_no_cookie(
    api_client: Sign, make_user: MakeUser, bucket_of: Callable[[User], int], move: Move, stage: str
) -> None:
    inside, outside = two_members(make_user, bucket_of)
    move(stage)
    versions = []
    for member in (inside, outside):
        by_token = api_client(member).get(ME)
        expected = by_token.json()
        assert (by_token.status_code, set(expected)) == (200, {"version", "reason", "stage", "bucket"})
        versions.append(expected["version"])

        said = StringIO()
        call_command("rollout", "explain", member.email, "--json", stdout=said)
        explained = json.loads(said.getvalue())
        assert {name: explained[name] for name in expected} == expected

        for cookies in ({}, {"dwf_messaging_v2": "True", "dwft_messaging_v2": "True"}):
            device = Client()
            device.force_login(member, backend="django.contrib.auth.backends.ModelBackend")
            device.cookies.load(cookies)
            response = device.get(f"{ME}?messaging_v2=1&dwft_messaging_v2=1", headers={"dwft-messaging-v2": "1"})
            assert response.json() == expected
            assert not [name for name in response.cookies if name.startswith("dwf")]
    assert versions == {"internal": ["v1", "v1"], "percentage:50": ["v2", "v1"], "enabled": ["v2", "v2"]}[stage]


def two_members(make_user: MakeUser, bucket_of: Callable[[User], int]) -> tuple[User, User]:
    """Make members until there is one whom 50% lets in and one whom it does not."""
    found: dict[bool, User] = {}
    while len(found) < 2:
        member = make_user()
        found[bucket_of(member) < 50_000] = member
    return found[True], found[False]


def test_disabled_in_the_environment_beats_query_header_and_cookie(
    make_user: MakeUser, move: Move, settings: Settings
) -> None:
    settings.MESSAGING_V2_ROLLOUT = DISABLED
    move("enabled", v1_writes=False)
    device = Client(headers={"dwft-messaging-v2": "1"})
    device.force_login(make_user(is_staff=True, is_superuser=True), backend="django.contrib.auth.backends.ModelBackend")
    device.cookies.load({"dwf_messaging_v2": "True"})
    answer = device.get(f"{ME}?messaging_v2=1&dwft_messaging_v2=1").json()
    assert (answer["version"], answer["reason"], answer["stage"]) == ("v1", "disabled_by_environment", "disabled")


def test_somebody_signed_out_is_told_to_sign_in() -> None:
    assert Client().get(ME).status_code == 401


def test_the_call_has_its_contracted_address() -> None:
    assert resolve(ME).url_name == "api-rollout-me"
