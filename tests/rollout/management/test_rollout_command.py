import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from carecollective.accounts.models import User
from rollout.models import Change, Flag
from rollout.stages import DISABLED
from rollout.targeting import snapshot
from rollout.targeting.state import FLAG_NAME, UNKNOWN
from tests.rollout.conftest import MakeUser, Move

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("rollout", *arguments, stdout=out)
    return out.getvalue().strip()


def read(*arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run(*arguments, "--json"))
    return answer


def stage() -> str:
    return Flag.objects.get(name=FLAG_NAME).stage


def test_status_tells_the_stage_v1_writes_and_the_last_change(move: Move) -> None:
    move("percentage:10")
    assert run("status").splitlines()[:2] == ["Stage: percentage:10", "V1 writes: on"]
    facts = read("status")
    assert (facts["stage"], facts["v1_writes"], facts["overridden_by_environment"]) == ("percentage:10", True, False)
    assert (facts["timeline"][0]["kind"], facts["timeline"][0]["source"]) == ("change", "outside")


def test_status_fails_when_the_state_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "current", lambda: UNKNOWN)
    with pytest.raises(CommandError, match="cannot be read"):
        run("status")


def test_stage_moves_and_records_the_command_and_the_system_user() -> None:
    assert "disabled to internal" in run("stage", "internal", "--reason", "Start small", "--override")
    change = Change.objects.latest("pk")
    assert (change.source, change.actor_id, change.reason) == ("command", None, "Start small")
    assert change.actor_label.endswith("(system user)")
    assert stage() == "internal"


def test_a_system_user_without_a_name_is_recorded_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollout.management.commands.rollout.os.getuid", lambda: 4_000_000_123)
    run("stage", "internal", "--reason", "Start small", "--override")
    assert Change.objects.latest("pk").actor_label == "uid 4000000123 (system user)"


def test_the_system_user_is_not_who_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "amina")
    run("stage", "internal", "--reason", "Start small", "--override")
    assert "amina" not in Change.objects.latest("pk").actor_label


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["stage", "enabled", "--reason", "At once"], "would skip internal, percentage:10, percentage:50"),
        (["stage", "internal", "--reason", " "], "Say why"),
        (["stage", "rolling", "--reason", "Typo"], "is not a stage"),
        (["rollback", "--reason", "x"], "Say why"),
        (["explain", "nobody@example.org"], "No member has the e-mail address"),
        (["preview", "half"], "is not a stage"),
    ],
)
def test_a_refusal_is_one_sentence_and_changes_nothing(arguments: list[str], sentence: str) -> None:
    recorded = Change.objects.count()
    with pytest.raises(CommandError, match=sentence):
        run(*arguments)
    assert (stage(), Change.objects.count()) == ("disabled", recorded)


@pytest.mark.parametrize("arguments", [["stage", "internal"], ["rollback"]])
def test_a_change_without_a_reason_is_refused(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="--reason"):
        run(*arguments)
    assert stage() == "disabled"


def test_an_override_is_recorded() -> None:
    facts = read("stage", "percentage:50", "--reason", "Hurry", "--override")
    assert (facts["to_stage"], facts["override"]) == ("percentage:50", True)
    assert "[override]" in run("status")


def test_rollback_ends_at_disabled_with_v1_writes_on(move: Move) -> None:
    move("enabled", v1_writes=False)
    facts = read("rollback", "--reason", "Errors")
    assert (facts["from_stage"], facts["to_stage"], facts["to_v1_writes"]) == ("enabled", "disabled", True)


def test_explain_says_which_version_and_why(
    make_user: MakeUser, tester: User, move: Move, bucket_of: Callable[[User], int]
) -> None:
    move("internal")
    member = make_user()
    assert read("explain", str(member.email)) == {
        "email": member.email,
        "version": "v1",
        "reason": "not_internal",
        "stage": "internal",
        "bucket": bucket_of(member),
        "explanation": "V2 is open to staff and internal testers only, for now.",
    }
    assert "in V2." in run("explain", str(tester.email))
    move("disabled", v1_writes=False)
    assert "messaging_unavailable" in run("explain", str(member.email))


def test_preview_counts_who_enters_and_leaves_and_changes_nothing(
    make_user: MakeUser, operator: User, tester: User, bucket_of: Callable[[User], int]
) -> None:
    members = [make_user() for _ in range(20)]
    make_user(is_active=False)
    facts = read("preview", "percentage:50")
    inside = sum(bucket_of(member) < 50_000 for member in members)
    # The operator and the tester are members too, and in at every stage; who is not active is nowhere.
    assert (facts["members"], facts["entering"], facts["leaving"]) == (22, inside + 2, 0)
    assert operator.name in run("preview", "internal")
    assert stage() == "disabled"


def test_preview_leaves_out_who_can_start_nothing(make_user: MakeUser) -> None:
    for fields in ({"is_active": False}, {"verification_status": "pending"}, {"verification_status": "rejected"}):
        make_user(**fields, is_staff=True)
    assert read("preview", "enabled")["members"] == 0


def test_preview_names_everybody_when_asked_to_and_in_json(make_user: MakeUser, move: Move) -> None:
    members = [make_user() for _ in range(13)]
    assert run("preview", "enabled").count("Member") == 10
    shown = run("preview", "enabled", "--all")
    assert all(f"{member.name} <{member.email}>" in shown for member in members)
    facts = read("preview", "enabled")
    assert {one["id"] for one in facts["entering_members"]} == {str(member.pk) for member in members}
    move("enabled")
    assert len(read("preview", "disabled")["leaving_members"]) == 13


def test_preview_downwards_counts_who_would_leave(make_user: MakeUser, move: Move) -> None:
    make_user()
    move("enabled", v1_writes=False)
    facts = read("preview", "disabled")
    assert facts["leaving"] == facts["members"] == User.objects.filter(is_active=True).count()


def test_the_command_says_that_the_environment_overrides(settings: Settings, operator: User) -> None:
    settings.MESSAGING_V2_ROLLOUT = DISABLED
    assert "MESSAGING_V2_ROLLOUT=disabled overrides" in run("stage", "internal", "--reason", "For later", "--override")
    assert stage() == "internal"
    assert read("status")["overridden_by_environment"] is True
    assert read("explain", str(operator.email))["reason"] == "disabled_by_environment"
