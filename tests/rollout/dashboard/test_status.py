import json
from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from rest_framework.test import APIClient

from carecollective.accounts.models import User
from carecollective.inbox.services import offer_help
from carecollective.web.dataclass_serializers import serializer_of
from rollout.dashboard.schema import Health, RolloutStatus
from rollout.dashboard.status import read_status
from rollout.models import Source
from rollout.plain import as_plain
from rollout.promotion import proposals, sign_offs
from rollout.promotion.root_causes import file_root_cause, list_due
from rollout.promotion.services import change_stage, roll_back
from rollout.stages import DISABLED, INTERNAL
from tests.operators import MakeStaff
from tests.readiness import StandInReadiness

pytestmark = pytest.mark.django_db

STATUS = "/api/rollout/status"
ALERT = (
    "INSERT INTO rollout_alert (kind, severity, words, figures, stage, disabled_v2)"
    " VALUES ('slow_call', 'critical', 'A call took 7 s.', '{}', 'internal', false)"
)


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("rollout", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def no_guard(beyond_policies: Any) -> Callable[[str], None]:
    def since(age: str) -> None:
        with beyond_policies() as cursor:
            cursor.execute("DELETE FROM rollout_guard_lease")
            if age:
                cursor.execute(
                    "INSERT INTO rollout_guard_lease (id, holder, renewed_at)"
                    " VALUES (1, 'host:7', clock_timestamp() - %s::interval)",
                    [age],
                )

    return since


def test_a_new_site_is_disabled_and_nothing_is_wrong() -> None:
    found = read_status()
    assert (found.health, found.stage, found.v1_writes) == (Health.DISABLED, DISABLED, True)
    assert found.gates == ()
    assert found.next_step is not None
    assert (found.next_step.stage, found.next_step.ready) == (INTERNAL, False)
    assert (found.guard.state, found.guard.v2_is_off) == ("watching", False)
    assert (found.alerts, found.proposals, found.root_causes, found.drain) == ((), (), (), None)
    assert len(found.checklist) == 10
    assert len(found.figures.trend) == 24


def test_a_stage_with_enough_shown_is_healthy_until_an_alert_opens(
    since_four_days: None, record: Any, beyond_policies: Any
) -> None:
    record(starts=50, sends=80)
    assert read_status().health is Health.INSUFFICIENT
    record(starts=30)
    found = read_status()
    assert (found.health, found.words) == (
        Health.HEALTHY,
        "This stage has shown everything that the next one asks for.",
    )
    assert {gate.state.value for gate in found.gates} == {"pass"}
    with beyond_policies() as cursor:
        cursor.execute(ALERT)
    assert read_status().health is Health.FAILING


def test_a_gate_that_fails_is_failing_without_any_alert(since_four_days: None, record: Any) -> None:
    record(starts=80, sends=80, failures=40)
    found = read_status()
    assert (found.health, found.alerts) == (Health.FAILING, ())


def test_the_one_word_over_the_page(stage: Any, no_guard: Any, settings: Settings, beyond_policies: Any) -> None:
    stage("internal")
    assert read_status().health is Health.INSUFFICIENT
    with beyond_policies() as cursor:
        cursor.execute(ALERT)
    failing = read_status()
    assert (failing.health, failing.words) == (Health.FAILING, "A call took 7 s.")
    assert [alert.kind for alert in failing.alerts] == ["slow_call"]
    no_guard("2 minutes")
    absent = read_status()
    assert (absent.health, absent.guard.state, absent.guard.v2_is_off) == (Health.GUARD_ABSENT, "absent", True)
    assert "V2 is off by itself" in absent.words
    no_guard("")
    assert read_status().guard.state == "never"
    settings.MESSAGING_V2_ROLLOUT = DISABLED
    assert read_status().health is Health.OVERRIDDEN


def test_after_a_rollback_the_form_is_due_until_it_is_filed(stage: Any, ben: User) -> None:
    stage("percentage:10")
    roll_back(actor=ben, reason="Errors", source=Source.ADMIN)
    found = read_status()
    assert found.health is Health.ROLLED_BACK
    assert [form.from_stage for form in found.root_causes] == ["percentage:10"]
    answers = {"what": "Offers failed", "why": "An index", "fix": "Add it", "who": "Ben", "due": "2099-12-01"}
    file_root_cause(actor=ben, root_cause_id=list_due()[0].id, **answers)
    assert read_status().health is Health.DISABLED


def test_the_timeline_tells_the_story_newest_first(
    shown: StandInReadiness, ben: User, amina: User, operators: MakeStaff, stage: Any
) -> None:
    proposal = proposals.propose(actor=ben, stage=INTERNAL, reason="The staff are ready")
    proposals.approve(actor=amina, proposal_id=proposal.pk)
    root = operators(name="Root", is_superuser=True)
    shown.missing = ("40 more clean starts.",)
    change_stage(actor=root, stage=INTERNAL.parse("percentage:50"), reason="Hurry", source=Source.ADMIN, override=True)
    roll_back(actor=None, reason="Success at 20%", source=Source.GUARD, actor_label="The guard")
    events = read_status().timeline
    assert [event.at for event in events] == sorted((event.at for event in events), reverse=True)
    assert [(event.title, event.who, event.badges) for event in events[:5]] == [
        ("percentage:50 → disabled", "The guard", ("guard",)),
        ("internal → percentage:50", "Root", ("override",)),
        ("Passed over what was missing for percentage:50", "Root", ("override",)),
        ("disabled → internal", "Amina", ()),
        ("Approved: internal", "Amina", ()),
    ]
    assert "40 more clean starts." in events[2].words


def test_a_pending_proposal_is_shown_and_an_overtaken_one_as_such(
    shown: StandInReadiness, ben: User, stage: Any
) -> None:
    proposals.propose(actor=ben, stage=INTERNAL, reason="Ready")
    (waiting,) = read_status().proposals
    assert (waiting.to_stage, waiting.proposer, waiting.stale) == (INTERNAL, "Ben", False)
    stage("disabled")
    assert read_status().proposals[0].stale


def test_staff_read_the_status_by_token_and_the_command_agrees(
    operators: MakeStaff, api_client: Callable[..., APIClient], stage: Any
) -> None:
    stage("internal")
    answer = api_client(operators("view")).get(STATUS)
    assert (answer.status_code, answer["Cache-Control"]) == (200, "private, no-store")
    said, by_command = answer.json(), json.loads(command("status", "--json"))
    assert said.keys() == by_command.keys()
    moving = {"read_at", "guard", "gates", "next_step", "checklist"}
    assert {name: said[name] for name in said.keys() - moving} == {
        name: by_command[name] for name in said.keys() - moving
    }
    shape = serializer_of(RolloutStatus)(data=said)
    assert shape.is_valid(), shape.errors


def test_nobody_else_reads_it(
    operators: MakeStaff, member: Callable[..., User], api_client: Callable[..., APIClient]
) -> None:
    assert api_client().get(STATUS).status_code == 401
    no_staff = operators(is_staff=False)
    assert no_staff.has_perm("rollout.view")
    for user in (member(), operators("propose"), no_staff):
        answer = api_client(user).get(STATUS)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")


def test_neither_messages_nor_addresses_stand_in_it(
    member: Callable[..., User], help_request: Any, stage: Any, ben: User
) -> None:
    stage("enabled")
    canary = f"canary {uuid4()} please"
    helper = member(name="Someone Quiet")
    offer_help(actor=helper, help_request_id=help_request().pk, initial_message=canary)
    said = json.dumps(as_plain(read_status()), default=str)
    for private in (canary, str(helper.email), str(ben.email), "Someone Quiet"):
        assert private not in said


def test_reading_changes_nothing_and_runs_few_queries(stage: Any, ben: User) -> None:
    stage("percentage:10")
    with CaptureQueriesContext(connection) as first:
        read_status()
    assert not [query["sql"] for query in first if query["sql"].startswith("UPDATE")]
    for _ in range(60):
        stage("percentage:10")
        sign_offs.sign(actor=ben, item="unit_tests")
    with CaptureQueriesContext(connection) as second:
        read_status()
    assert len(second) <= len(first) <= 75


def test_the_command_puts_it_in_sentences(stage: Any, ben: User, shown: StandInReadiness) -> None:
    proposals.propose(actor=ben, stage=INTERNAL, reason="Ready when you are")
    page = command("status")
    assert "Health: disabled. V2 is off for everybody." in page
    assert "internal, by Ben: Ready when you are" in page
    assert "Before internal, nothing but an approval" not in page.replace(
        "Before internal, nothing but an approval:", ""
    )


def test_the_command_names_all_that_is_missing(stage: Any) -> None:
    from django.core.management import CommandError

    with pytest.raises(CommandError) as refusal:
        command("stage", "internal", "--reason", "Start small")
    said = str(refusal.value)
    assert "Missing, unless you --override:" in said
    assert "There is no backup" in said or "backup" in said
    assert "- A second staff member's approval" in said
