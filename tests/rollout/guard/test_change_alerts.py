"""Every change of the rollout is told once, whoever makes it and whoever was down meanwhile."""

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import Settings

from rollout.alerts import lifecycle
from rollout.alerts.notifications import deliver_waiting
from rollout.dashboard.timeline import read_timeline
from rollout.guard.change_alerts import note_changes
from rollout.models import Change, Source
from rollout.models.alerts import Alert
from rollout.promotion import rollbacks
from rollout.promotion.services import change_stage, roll_back, set_v1_writes
from rollout.stages import Stage
from tests.roles import as_role
from tests.rollout.alerts.webhook_server import WebhookServer, webhook_server
from tests.rollout.conftest import Happened, Sql

Make = Callable[..., Any]
At = Callable[..., None]
Look = Callable[[], None]

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def slack(settings: Settings) -> Iterator[WebhookServer]:
    with webhook_server() as server:
        settings.SLACK_WEBHOOK_URL = server.address
        yield server


def deliver() -> None:
    """Let the worker note what changed and send what waits, as its tasks do."""
    note_changes()
    deliver_waiting()


def test_a_second_rollback_by_the_guard_has_its_own_alert(
    slack: WebhookServer, at: At, happened: Happened, look: Look
) -> None:
    at("percentage:10")
    happened(8, level="error")
    look()
    deliver()
    assert len(slack.texts) == 1
    at("percentage:50", began_seconds_ago=0)
    happened(5, level="error", code="internal_server_error")
    look()
    deliver()
    first, second = slack.texts
    assert ("percentage:10" in first, "8 of 8" in first, "database_error" in first) == (True, True, True)
    assert ("percentage:50" in second, "5 of 5" in second, "internal_server_error" in second) == (True, True, True)
    assert "percentage:10" not in second
    assert "8 of 8" not in second
    assert Change.objects.filter(source="guard").count() == 2


def test_each_rollback_by_the_guard_has_an_alert_of_its_own(at: At, happened: Happened, look: Look) -> None:
    at("percentage:10")
    happened(8, level="error")
    look()
    at("percentage:50", began_seconds_ago=0)
    happened(5, level="error")
    look()
    found = Alert.objects.filter(kind="guard_rollback").order_by("pk")
    assert [(one.stage, one.disabled_v2) for one in found] == [("percentage:10", True), ("percentage:50", True)]
    assert {one.key for one in found} == {str(change.pk) for change in Change.objects.filter(source="guard")}


@pytest.mark.parametrize(("do", "said"), [
    (
        lambda staff: change_stage(
            actor=staff, stage=Stage.parse("percentage:10"), reason="Ready.", source=Source.ADMIN, override=True
        ),
        "V2 moved up from internal to percentage:10 past what was missing (override), by Amina. Reason: Ready.",
    ),
    (
        lambda staff: roll_back(actor=staff, reason="It hurts.", source=Source.ADMIN),
        "V2 was rolled back from internal to disabled, by Amina. Reason: It hurts.",
    ),
    (
        lambda staff: set_v1_writes(actor=staff, on=False, reason="All moved.", source=Source.ADMIN),
        "V1 writes were turned off, by Amina. Reason: All moved.",
    ),
])  # fmt: skip
def test_what_a_person_does_is_told_once_as_a_notice(
    slack: WebhookServer, at: At, staff: Make, do: Callable[[Any], Any], said: str
) -> None:
    at("internal")
    do(staff(name="Amina"))
    deliver()
    deliver()
    (text,) = slack.texts
    assert said in text
    assert lifecycle.open_alerts() == ()
    (notice,) = lifecycle.recent_alerts()
    assert (notice.kind, notice.severity) == ("stage_changed", "notice")


def test_a_rollback_from_the_command_line_is_told(slack: WebhookServer, at: At) -> None:
    at("internal")
    call_command("rollout", "rollback", "--reason", "It hurts.", stdout=StringIO())
    deliver()
    (text,) = slack.texts
    assert "V2 was rolled back from internal to disabled, by " in text


@pytest.mark.parametrize(("statement", "said"), [
    ("UPDATE rollout_flag SET stage = 'percentage:50'", "V2 moved up from internal to percentage:50"),
    ("UPDATE rollout_flag SET stage = 'disabled'", "V2 was rolled back from internal"),
    ("UPDATE rollout_flag SET v1_writes = false", "V1 writes were turned off"),
    ("DELETE FROM rollout_flag", "The rollout's row was deleted (it was at internal)"),
])  # fmt: skip
def test_a_change_by_sql_is_an_alert_until_it_is_acknowledged(
    slack: WebhookServer, at: At, sql: Sql, staff: Make, statement: str, said: str
) -> None:
    at("internal")
    sql(statement)
    deliver()
    (alert,) = lifecycle.open_alerts()
    assert (alert.kind, alert.severity) == ("changed_from_outside", "critical")
    assert alert.words.startswith(said)
    assert "the database role" in alert.words
    sql(
        "UPDATE rollout_alert SET opened_at = opened_at - interval '9 days', last_seen_at = last_seen_at - interval '9 days'"
    )
    lifecycle.resolve_quiet()
    assert len(lifecycle.open_alerts()) == 1
    lifecycle.acknowledge(actor=staff(), alert_id=alert.id)
    assert lifecycle.open_alerts() == ()
    assert [said in text for text in slack.texts] == [True]


def test_changes_made_without_guard_and_worker_alert_later(slack: WebhookServer, at: At, staff: Make) -> None:
    at("internal")
    for turn in range(3):
        set_v1_writes(actor=staff(), on=bool(turn % 2), reason=f"Turn {turn}.", source=Source.ADMIN)
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")
        cursor.execute("ALTER TABLE rollout_change DISABLE TRIGGER USER")
        cursor.execute("UPDATE rollout_change SET at = at - interval '9 days'")
        cursor.execute("ALTER TABLE rollout_change ENABLE TRIGGER USER")
        cursor.execute("SET ROLE carecollective_web")
    deliver()
    assert sorted(text.partition("Reason: ")[2].splitlines()[0] for text in slack.texts) == [
        "Turn 0.",
        "Turn 1.",
        "Turn 2.",
    ]


@pytest.mark.parametrize(("source", "kind", "said"), [
    ("guard", "guard_rollback", "The guard turned V2 off (it was at percentage:10). 8 of 8 failed."),
    ("admin", "stage_changed", "V2 was rolled back from percentage:10 to disabled, by Amina. Reason: 8 of 8 failed."),
])  # fmt: skip
def test_a_rollback_that_is_kept_from_the_record_is_told_once(
    slack: WebhookServer, at: At, sql: Sql, source: str, kind: str, said: str
) -> None:
    at("percentage:10")
    sql(
        "INSERT INTO rollout_rollback (at, actor_label, source, reason)"
        " VALUES (clock_timestamp() - interval '11 s', 'Amina', %s, '8 of 8 failed.')", source,
    )  # fmt: skip
    deliver()
    deliver()
    rollbacks.settle()
    deliver()
    (text,) = slack.texts
    assert text.splitlines()[0].endswith(said)
    assert "V2 is off; new conversations use V1." in text
    assert [one.kind for one in Alert.objects.all()] == [kind]
    assert Change.objects.filter(source=source).count() == 1


def test_the_timeline_shows_who_acknowledged_and_each_change_once(at: At, sql: Sql, staff: Make) -> None:
    at("internal")
    sql("UPDATE rollout_flag SET stage = 'percentage:10'")
    set_v1_writes(actor=staff(), on=False, reason="All moved.", source=Source.ADMIN)
    note_changes()
    (alert,) = lifecycle.open_alerts()
    lifecycle.acknowledge(actor=staff(name="Amina"), alert_id=alert.id)
    titles = [(event.title, event.who) for event in read_timeline() if event.kind == "alert"]
    assert ("Acknowledged: The rollout was changed from outside", "Amina") in titles
    assert "The rollout was changed" not in [title for title, _who in titles]


def test_nothing_from_before_is_told_when_a_site_is_new(slack: WebhookServer) -> None:
    deliver()
    assert (slack.received, Alert.objects.count()) == ([], 0)
    assert Change.objects.exists()


@pytest.mark.parametrize("role", ["web", "guard"])
def test_worker_and_guard_each_may_note_changes(at: At, sql: Sql, role: str) -> None:
    at("internal")
    sql("UPDATE rollout_flag SET stage = 'percentage:10'")
    with as_role(role):
        assert note_changes() == 1
        assert note_changes() == 0
    assert len(lifecycle.open_alerts()) == 1


def test_who_reads_the_alerts_start_may_not_move_it(connect_as: Make) -> None:
    for role in ("web", "guard"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connect_as(role).execute("UPDATE rollout_change_alerts_start SET after_change_id = 999999")
