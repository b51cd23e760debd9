"""V1 is watched as hard as V2: broken for good in the database, it is told at once, at every stage."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import Error
from pytest_django import Settings

from carecollective.core.errors import DomainError
from carecollective.inbox.services import offer_help
from rollout.alerts import lifecycle
from rollout.alerts.notifications import deliver_waiting
from rollout.dashboard import prometheus
from rollout.dashboard.schema import Health
from rollout.dashboard.status import read_status
from rollout.gates.v1_service import read_v1_since_rollback
from rollout.guard.change_alerts import note_changes
from rollout.guard.runner import Guard
from rollout.models import Source
from rollout.promotion.services import roll_back
from tests.roles import as_role
from tests.rollout.alerts.webhook_server import WebhookServer, webhook_server

Make = Callable[..., Any]
Connect = Callable[..., "psycopg.Connection[Any]"]

BROKEN = {
    "renamed": "ALTER TABLE conversations RENAME TO conversations_moved",
    "a trigger that raises": """
        CREATE FUNCTION public.break_v1() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no more room' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER break_v1 BEFORE INSERT ON conversations FOR EACH ROW EXECUTE FUNCTION public.break_v1()
    """,
}


@pytest.fixture
def superuser(committed_db: None, connect_as: Connect) -> "psycopg.Connection[Any]":
    return connect_as("superuser", autocommit=True)


@pytest.fixture
def slack(settings: Settings) -> Iterator[WebhookServer]:
    with webhook_server() as server:
        settings.SLACK_WEBHOOK_URL = server.address
        yield server


@pytest.fixture
def told_until_now(superuser: "psycopg.Connection[Any]") -> Callable[[], None]:
    """Let everybody know of the changes up to now."""

    def forget() -> None:
        superuser.execute(
            "UPDATE rollout_change_alerts_start SET after_change_id = (SELECT max(id) FROM rollout_change)"
        )

    return forget


def offers(member: Make, help_request: Make, times: int) -> int:
    """Offer help so often, each time about another request; return how often it failed."""
    helper, owner, failed = member(), member(), 0
    for _offer in range(times):
        request = help_request(user=owner)
        try:
            offer_help(actor=helper, help_request_id=request.pk, initial_message="I can help with that.")
        except (DomainError, Error):
            failed += 1
    return failed


def look() -> None:
    with as_role("guard"):
        Guard().look()


@pytest.mark.parametrize("how", BROKEN)
def test_with_v1_broken_all_is_not_well_and_somebody_is_told(
    superuser: "psycopg.Connection[Any]", stage: Make, told_until_now: Callable[[], None], slack: WebhookServer,
    member: Make, help_request: Make, how: str,
) -> None:  # fmt: skip
    stage("percentage:10")
    superuser.execute("UPDATE rollout_flag SET stage = 'internal'")
    told_until_now()
    superuser.execute(BROKEN[how])
    assert offers(member, help_request, 19) == 19
    look()
    (alert,) = lifecycle.open_alerts()
    assert (alert.kind, alert.severity) == ("v1_creation_failing", "critical")
    assert alert.words.startswith("19 of 19 new conversations failed in V1 within 5 minutes")
    assert sum(alert.figures["codes"].values()) == 19
    deliver_waiting()
    (text,) = slack.texts
    assert text.startswith("Critical: 19 of 19 new conversations failed in V1")
    assert "Turning V2 off does not help them." in text
    status = read_status()
    assert status.health is Health.FAILING
    assert status.words == alert.words
    assert "carecollective_database_up 1.0" in prometheus.render().decode()


def test_after_a_rollback_v1_is_looked_at_and_its_failure_is_told(
    superuser: "psycopg.Connection[Any]", stage: Make, told_until_now: Callable[[], None], slack: WebhookServer,
    member: Make, help_request: Make,
) -> None:  # fmt: skip
    stage("enabled")
    told_until_now()
    roll_back(actor=None, reason="It hurts.", source=Source.COMMAND)
    found = read_v1_since_rollback()
    assert found is not None
    assert (found.state, found.words) == (
        "insufficient", "Not known yet if V1 serves members: no start since the rollback.",
    )  # fmt: skip
    assert offers(member, help_request, 4) == 0
    found = read_v1_since_rollback()
    assert found is not None
    assert (found.state, found.words) == ("pass", "Members are served by V1: 4 of 4 since the rollback.")
    assert read_status().overview.v1_since_rollback == found

    superuser.execute(BROKEN["a trigger that raises"])
    assert offers(member, help_request, 3) == 3
    look()
    assert {alert.kind for alert in lifecycle.open_alerts()} == {"v1_creation_failing"}
    note_changes()
    deliver_waiting()
    deliver_waiting()
    assert sorted(text.split()[0] for text in slack.texts) == ["Critical:", "Notice:"]
    found = read_v1_since_rollback()
    assert found is not None
    assert (found.state, found.words) == (
        "fail", "V1 does not serve members: 3 of 7 starts failed since the rollback.",
    )  # fmt: skip
    status = read_status()
    assert (status.health, "failed in V1" in status.words) == (Health.FAILING, True)


def test_while_v2_goes_up_nothing_is_said_of_a_rollback(committed_db: None, stage: Make) -> None:
    assert read_v1_since_rollback() is None
    stage("internal")
    assert read_v1_since_rollback() is None
    stage("disabled")
    assert read_v1_since_rollback() is not None
