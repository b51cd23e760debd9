from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from carecollective.accounts.models import User
from rollout.alerts.notifications import ChannelState
from rollout.models import Flag
from rollout.promotion import automated_checks, checklist, stage_sign_offs
from rollout.promotion.automated_checks import CheckResult
from rollout.stages import INTERNAL
from rollout.targeting.state import FLAG_NAME

RECORD = """
INSERT INTO application_logs (key, timestamp, service, method, event, log_level, error_code, version, stage, duration_ms,
  request_id, user_id, connection_error)
SELECT gen_random_uuid(), clock_timestamp() - make_interval(hours => n %% 48 + 1), 'MessagingServiceV2', %s, %s, %s, %s, 'v2',
  'internal', %s, '', %s, false
FROM generate_series(1, %s) AS n
"""


@pytest.fixture
def flag(db: None) -> Flag:
    return Flag.objects.get(name=FLAG_NAME)


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests' own superuser session and its missing backup would spoil is in order; nobody else judges the schema."""
    monkeypatch.setattr(automated_checks, "_judges_of_schema", [])
    monkeypatch.setattr(automated_checks, "find_dangers", lambda: iter(()))
    found = CheckResult("pass", "The newest backup is 2.0 hours old and was restored to try it.")
    items = [
        item if item.name != "backup" else checklist.Item(item.name, item.title, lambda: found)
        for item in checklist.ITEMS
    ]
    monkeypatch.setattr(checklist, "ITEMS", tuple(items))
    now = timezone.now()
    told = ChannelState("email", True, now, now, None, "", 0)
    monkeypatch.setattr(automated_checks, "channel_states", lambda: (told,))


@pytest.fixture
def signed(ben: User, amina: User) -> None:
    """People have signed for everything that people are asked about."""
    for item in ("unit_tests", "e2e_tests", "rollback_plan"):
        checklist.sign(actor=ben, item=item)
    checklist.sign(actor=ben, item="stakeholders", part=checklist.ENGINEERING)
    checklist.sign(actor=amina, item="stakeholders", part=checklist.PRODUCT)


@pytest.fixture
def past_the_triggers(
    beyond_policies: Callable[[], AbstractContextManager[Any]],
) -> Callable[[], AbstractContextManager[Any]]:
    """Write as a superuser whom no trigger hinders: `with past_the_triggers() as cursor`."""
    from contextlib import contextmanager

    @contextmanager
    def step_past() -> Iterator[Any]:
        with beyond_policies() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            yield cursor
            cursor.execute("SET LOCAL session_replication_role = origin")

    return step_past


@pytest.fixture
def since_four_days(past_the_triggers: Any, stage: Any, ben: User) -> None:
    """The rollout has been at internal for four days, and the team is content."""
    stage("internal")
    with past_the_triggers() as cursor:
        cursor.execute("UPDATE rollout_change SET at = at - interval '4 days' WHERE to_stage = 'internal'")
    for item in stage_sign_offs.ITEMS[INTERNAL]:
        checklist.sign(actor=ben, item=item.name)


@pytest.fixture
def record(db: None) -> Callable[..., None]:
    def add(*, starts: int = 0, sends: int = 0, failures: int = 0, ms: float = 40.0) -> None:
        with connection.cursor() as cursor:
            for method, number, code in (
                ("startHelpConversation", starts, None),
                ("sendMessage", sends, None),
                ("startHelpConversation", failures, "internal_server_error"),
            ):
                event, level = ("error", "error") if code else ("success", "info")
                cursor.execute(RECORD, [method, event, level, code, ms, uuid4(), number])

    return add


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])
