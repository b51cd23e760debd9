from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.db import connection

from carecollective.accounts.models import User
from rollout import checklist, evidence, readiness
from rollout.evidence import Finding
from rollout.models import Flag
from rollout.readiness import Readiness
from rollout.stages import Stage
from rollout.state import FLAG_NAME
from rollout.status_tree import Blocker


@pytest.fixture
def flag(db: None) -> Flag:
    return Flag.objects.get(name=FLAG_NAME)


class Evidence:
    """Stands for the gates and the checklist, where a test is about what follows from them."""

    missing: tuple[str, ...] = ()

    def judge(self, *, stage: Stage, target: Stage | None) -> Readiness:
        blockers = tuple(Blocker("gate", words) for words in self.missing)
        return Readiness(stage, target, 0.95, (), (), blockers)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Evidence:
    """All that a step asks for has been shown, until `shown.missing` says otherwise."""
    stand_in = Evidence()
    monkeypatch.setattr(readiness, "judge", stand_in.judge)
    return stand_in


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests' own superuser session and its missing backup would spoil is in order; nobody else judges the schema."""
    monkeypatch.setattr(evidence, "_judges_of_schema", [])
    monkeypatch.setattr(evidence, "find_dangers", lambda: iter(()))
    found = Finding("pass", "The newest backup is 2.0 hours old and was restored to try it.")
    items = [
        item if item.name != "backup" else checklist.Item(item.name, item.title, lambda: found)
        for item in checklist.ITEMS
    ]
    monkeypatch.setattr(checklist, "ITEMS", tuple(items))


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


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])
