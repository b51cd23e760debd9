"""Alerts as they open, are acknowledged and end."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from carecollective.core.errors import NotPermitted
from rollout.alerts import lifecycle
from rollout.alerts.evidence import Finding
from rollout.alerts.rules import rule_of
from rollout.errors import AlertNotFound
from rollout.models.alerts import Alert, Delivery, Severity
from rollout.stages import INTERNAL, Stage
from tests.rollout.conftest import Sql

Make = Callable[..., Any]
TEN = Stage.parse("percentage:10")

pytestmark = pytest.mark.usefixtures("db")


def finding(kind: str, words: str = "Something happened.") -> Finding:
    rule = rule_of(kind)
    return Finding(rule, words, {"codes": {"database_error": 8, "conversation_exists": 1}})


def raise_alert(kind: str, *, key: str = "") -> Alert:
    return lifecycle.raise_alert(finding(kind), stage=INTERNAL, key=key)


@pytest.mark.parametrize("role", ["web", "guard"])
def test_guard_and_worker_note_and_end_alerts(as_role_for_test: Callable[[str], None], role: str) -> None:
    as_role_for_test(role)
    raise_alert("worker_absent")
    raise_alert("worker_absent")
    (alert,) = lifecycle.open_alerts()
    assert (alert.kind, alert.key, alert.resolved_at) == ("worker_absent", "", None)
    assert lifecycle.resolve("worker_absent")
    assert not lifecycle.resolve("worker_absent")
    assert lifecycle.open_alerts() == ()


def test_alerts_of_one_kind_with_different_keys_coexist() -> None:
    assert raise_alert("guard_rollback", key="12").pk == raise_alert("guard_rollback", key="12").pk
    raise_alert("guard_rollback", key="13")
    assert {alert.key for alert in lifecycle.open_alerts()} == {"12", "13"}


def test_what_is_about_a_stage_ends_with_it() -> None:
    first = lifecycle.raise_alert(finding("creation_low", "Of internal."), stage=INTERNAL)
    second = lifecycle.raise_alert(finding("creation_low", "Of 10%."), stage=TEN)
    first.refresh_from_db()
    assert (first.resolved_at is not None, second.words, second.stage) == (True, "Of 10%.", "percentage:10")
    assert (
        lifecycle.raise_alert(finding("slow_call"), stage=INTERNAL).pk
        == lifecycle.raise_alert(finding("slow_call"), stage=TEN).pk
    )


def test_what_gets_worse_is_told_anew() -> None:
    first = raise_alert("guard_absent")
    worse = lifecycle.raise_alert(replace(finding("guard_absent"), severity=Severity.CRITICAL), stage=INTERNAL)
    first.refresh_from_db()
    assert (first.resolved_at is not None, worse.severity, worse.pk != first.pk) == (True, "critical", True)
    assert raise_alert("guard_absent").pk == worse.pk


def test_a_change_has_one_alert_for_ever() -> None:
    raise_alert("guard_rollback", key="12")
    lifecycle.resolve("guard_rollback", key="12")
    with pytest.raises(IntegrityError, match="rollout_alert_one_for_each_change"), transaction.atomic():
        raise_alert("stage_changed", key="12")


def test_an_alert_says_what_it_is_about_and_who_was_told() -> None:
    alert = raise_alert("guard_rollback", key="12")
    told_at = datetime.fromisoformat("2026-03-01T03:00:00+00:00")
    Delivery.objects.create(alert=alert, channel="slack", what="opened", delivered_at=told_at, next_try_at=None)
    Delivery.objects.create(alert=alert, channel="email", what="opened", error="TimeoutError", failed_at=told_at)
    (record,) = lifecycle.open_alerts()
    assert record.error_codes == ("database_error", "conversation_exists")
    assert record.path == f"/admin/rollout/#alert-{alert.pk}"
    assert record.told_at == told_at
    assert [(sent.channel, sent.delivered_at, sent.error) for sent in record.deliveries] == [
        ("slack", told_at, ""), ("email", None, "TimeoutError"),
    ]  # fmt: skip


def test_open_alerts_take_one_query_and_their_deliveries_another(
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    with django_assert_num_queries(1):
        lifecycle.open_alerts()
    raise_alert("guard_rollback", key="1")
    raise_alert("guard_rollback", key="2")
    with django_assert_num_queries(2):
        lifecycle.open_alerts()


def test_who_acknowledges_first_stays_on_the_record(staff: Make) -> None:
    alert = raise_alert("slow_call")
    first = lifecycle.acknowledge(actor=staff(name="Amina"), alert_id=alert.pk)
    again = lifecycle.acknowledge(actor=staff(name="Ben"), alert_id=alert.pk)
    assert (first.acknowledged_by, first.resolved_at) == ("Amina", None)
    assert (again.acknowledged_by, again.acknowledged_at) == ("Amina", first.acknowledged_at)
    assert [one.acknowledged_by for one in lifecycle.open_alerts()] == ["Amina"]


def test_an_outside_change_ends_only_when_acknowledged(staff: Make, sql: Sql) -> None:
    alert = raise_alert("changed_from_outside", key="7")
    sql(
        "UPDATE rollout_alert SET last_seen_at = last_seen_at - interval '30 days', opened_at = opened_at - interval '30 days'"
    )
    assert lifecycle.resolve_quiet() == 0
    assert lifecycle.acknowledge(actor=staff(), alert_id=alert.pk).resolved_at is not None
    assert lifecycle.open_alerts() == ()


def test_who_may_not_see_the_control_room_acknowledges_nothing(member: Make) -> None:
    alert = raise_alert("changed_from_outside", key="7")
    with pytest.raises(NotPermitted):
        lifecycle.acknowledge(actor=member(), alert_id=alert.pk)
    alert.refresh_from_db()
    assert (alert.acknowledged_at, alert.acknowledged_by_label, alert.resolved_at) == (None, "", None)


def test_an_alert_that_is_not_there_cannot_be_acknowledged(staff: Make) -> None:
    with pytest.raises(AlertNotFound):
        lifecycle.acknowledge(actor=staff(), alert_id=4711)
