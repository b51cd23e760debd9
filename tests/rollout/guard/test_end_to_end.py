"""What "done" means: with the site running, V2's inserts are made to fail, and the rest happens by itself."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection
from knox.models import AuthToken

from rollout.alerts import lifecycle
from rollout.dashboard.timeline import read_timeline
from rollout.models import Change, DrainCertificate
from tests.rollout.alerts.webhook_server import webhook_server
from tests.rollout.guard.processes import running
from tests.waiting import wait_for

BREAK_V2 = """
CREATE FUNCTION public.break_v2() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full';
END
$$;
CREATE TRIGGER break_v2 BEFORE INSERT ON public.conversations_v2 FOR EACH ROW EXECUTE FUNCTION public.break_v2();
"""
REPAIR_V2 = "DROP TRIGGER break_v2 ON public.conversations_v2"
TEXT = "I would be glad to help with this."


@pytest.mark.slow
def test_v2_breaks_the_guard_turns_it_off_and_offers_go_on_in_v1(
    site: str,
    member: Callable[..., Any],
    help_request: Callable[..., Any],
    settled_stage: Callable[..., None],
    connect_as: Callable[..., "psycopg.Connection[Any]"],
) -> None:
    helper = member(name="Henry")
    _stored, token = AuthToken.objects.create(helper)
    owner = member()
    superuser = connect_as("superuser", autocommit=True)
    superuser.execute("DELETE FROM rollout_guard_lease")

    def offer() -> tuple[int, str | None]:
        return post(f"{site}/api/messaging/help-requests/{help_request(user=owner).pk}/start-conversation", token)

    with (
        webhook_server() as slack,
        running("guard", role="guard"),
        running("worker", role="web", TEST_SLACK_WEBHOOK_URL=slack.address),
    ):
        settled_stage("enabled")
        # However late the guard is there, and each process sees it.
        wait_for(lambda: offer() == (201, "v2"), seconds=60)

        superuser.execute(BREAK_V2)
        # Four failures of the first five operations are enough. A process that has not seen the guard yet still offers V1.
        for _failure in range(4):
            wait_for(lambda: offer() == (503, None), seconds=20)
        threshold_at = time.monotonic()
        assert {offer() for _offer in range(6)} <= {(503, None), (201, "v1")}

        wait_for(lambda: stage_of(superuser) == "disabled", seconds=60)
        took = time.monotonic() - threshold_at
        assert took < 60
        wait_for(lambda: offer() == (201, "v1"), seconds=5)

        wait_for(lambda: any("The guard turned V2 off" in text for text in slack.texts), seconds=20)
        # The stage was set by SQL here, and so that was told as well.
        assert "changed_from_outside" in {alert.kind for alert in lifecycle.open_alerts()}
        told = [text for text in slack.texts if "The guard turned V2 off" in text]
        assert len(told) == 1
        assert "new conversations failed in V2" in told[0]
        assert "V2 is off; new conversations use V1." in told[0]
        assert "Error codes: database_error" in told[0]
        title = "The guard turned V2 off"
        assert {f"alert: {title}, by The guard", "change: enabled → disabled, by The guard"} <= set(story()[:4])
        slack.received.clear()
        superuser.execute(REPAIR_V2)
        # Five quiet minutes go by.
        for _round in range(2):
            superuser.execute("UPDATE application_logs SET timestamp = timestamp - interval '6 min'")
            superuser.execute("UPDATE rollout_alert SET last_seen_at = last_seen_at - interval '6 min'")
            superuser.execute("UPDATE rollout_alert SET opened_at = opened_at - interval '6 min'")
            superuser.execute("UPDATE rollout_delivery SET delivered_at = delivered_at - interval '6 min'")
        # And five more in which it does not come back.
        rollback = "1 FROM rollout_alert WHERE kind = 'guard_rollback' AND resolved_at IS NOT NULL"
        wait_for(lambda: superuser.execute(f"SELECT {rollback}").fetchone(), seconds=25)
        superuser.execute(
            "UPDATE rollout_alert SET resolved_at = resolved_at - interval '6 min' WHERE kind = 'guard_rollback'"
        )
        wait_for(lambda: slack.received, seconds=25)
        time.sleep(6)
        (over,) = slack.texts
        assert over.startswith("Resolved: No new failures for 12 minutes. V2 is off; new conversations use V1.")
        assert TEXT not in json.dumps(slack.received)

    change = Change.objects.first()
    assert change is not None
    assert (change.source, change.from_stage, change.to_stage, change.to_v1_writes) == (
        "guard", "enabled", "disabled", True,
    )  # fmt: skip
    assert change.database_role == "carecollective_guard"
    assert "failed in V2" in change.reason
    (alert,) = (one for one in lifecycle.recent_alerts() if one.kind == "guard_rollback")
    assert (alert.disabled_v2, alert.stage) == (True, "enabled")
    assert alert.told_at is not None
    certificate = DrainCertificate.objects.get(flag_version=change.flag_version)
    assert certificate.issued_at is not None
    assert f"alert: Resolved: {title}, by The guard" in story()
    connection.close()


def story() -> list[str]:
    """Return what the timeline tells, the latest first."""
    return [f"{event.kind}: {event.title}" + (f", by {event.who}" if event.who else "") for event in read_timeline()]


def stage_of(superuser: "psycopg.Connection[Any]") -> str:
    row = superuser.execute("SELECT stage FROM rollout_flag").fetchone()
    assert row is not None
    return str(row[0])


def post(address: str, token: str) -> tuple[int, str | None]:
    request = urllib.request.Request(
        address,
        data=json.dumps({"initial_message": TEXT}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Token {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())["version"]
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, None
