import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from carecollective.accounts.models import User
from rollout.models import EventLog, Flag
from rollout.targeting.state import FLAG_NAME
from tests.operators import MakeStaff

PAGE = "/admin/rollout/"
LIVE = "/admin/rollout/live"

Browse = Callable[[User], Client]


def text_of(response: Any) -> str:
    """Return what a reader of the page reads."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def stage_now() -> str:
    return Flag.objects.get(name=FLAG_NAME).stage


@pytest.fixture
def admin(operators: MakeStaff) -> User:
    return operators(name="Root", is_superuser=True)


@pytest.fixture
def happen() -> Callable[..., None]:
    """Log operations: `happen(20, failed=3)` is twenty starts in V2 of which three failed."""

    def log(number: int, *, failed: int = 0, code: str = "internal_server_error", **fields: Any) -> None:
        common: dict[str, Any] = {
            "service": "MessagingServiceV2",
            "method": "startHelpConversation",
            "version": "v2",
            "stage": "internal",
            "duration_ms": 120.0,
            "request_id": "",
        }
        # All at one moment: two hours of the charts would part them.
        now = timezone.now()
        rows = []
        for place in range(number):
            outcome: dict[str, Any] = {"event": "success", "log_level": "info"}
            if place < failed:
                outcome = {"event": "error", "log_level": "error", "error_code": code}
            rows.append(EventLog(**(common | outcome | fields), key=uuid4(), timestamp=now))
        EventLog.objects.bulk_create(rows)

    return log


@pytest.fixture
def began(beyond_policies: Any) -> Callable[[str], None]:
    """Let all that the record tells have happened so long before: `began("4 days")`."""

    def age(interval: str) -> None:
        with beyond_policies() as cursor, transaction.atomic():
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("UPDATE rollout_change SET at = at - %s::interval", [interval])
            cursor.execute("SET LOCAL session_replication_role = origin")

    return age


@pytest.fixture
def lease(beyond_policies: Any) -> Callable[[str], None]:
    """Let the guard have looked last so long ago: `lease("2 minutes")`."""

    def age(interval: str) -> None:
        with beyond_policies() as cursor:
            cursor.execute("UPDATE rollout_guard_lease SET renewed_at = clock_timestamp() - %s::interval", [interval])

    return age


@pytest.fixture
def alert(beyond_policies: Any) -> Callable[..., None]:
    """Open an alert."""

    def start(words: str, *, kind: str = "error_rate", severity: str = "critical", disabled_v2: bool = False) -> None:
        with beyond_policies() as cursor:
            cursor.execute(
                "INSERT INTO rollout_alert (kind, severity, opened_at, last_seen_at, worsened_at, words, figures, stage,"
                " disabled_v2) VALUES (%s, %s, clock_timestamp(), clock_timestamp(), clock_timestamp(), %s, '{}',"
                " 'internal', %s)",
                [kind, severity, words, disabled_v2],
            )

    return start


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])
