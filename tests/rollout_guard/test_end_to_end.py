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

from rollout import alerts
from rollout.models import Change, DrainCertificate
from rollout.timeline import read_timeline
from tests.rollout_guard.listener import listening
from tests.rollout_guard.processes import running
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
        listening() as slack,
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

        wait_for(lambda: slack.heard, seconds=20)
        title = "Conversations cannot be started"
        assert story()[:3] == [
            "drain: Drain certificate issued",
            "change: enabled → disabled, by The guard",
            f"alert: {title}, by The guard",
        ]
        superuser.execute(REPAIR_V2)
        # Five quiet minutes go by.
        for _round in range(2):
            superuser.execute("UPDATE application_logs SET timestamp = timestamp - interval '6 min'")
            superuser.execute("UPDATE rollout_alert SET last_seen_at = last_seen_at - interval '6 min'")
            superuser.execute("UPDATE rollout_alert SET opened_at = opened_at - interval '6 min'")
        wait_for(lambda: len(slack.heard) == 2, seconds=25)
        time.sleep(6)
        assert [text.split(":")[0] for text in slack.texts] == ["Critical", "Resolved after 12 minutes"]
        assert TEXT not in json.dumps(slack.heard)

    change = Change.objects.first()
    assert change is not None
    assert (change.source, change.from_stage, change.to_stage, change.to_v1_writes) == (
        "guard", "enabled", "disabled", True,
    )  # fmt: skip
    assert change.database_role == "carecollective_guard"
    assert "failed in V2" in change.reason
    (alert,) = alerts.recent_alerts()
    assert (alert.disabled_v2, alert.stage) == (True, "enabled")
    certificate = DrainCertificate.objects.get(flag_version=change.flag_version)
    assert certificate.issued_at is not None
    assert story()[0] == f"alert: Resolved: {title}, by The guard"
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
