from datetime import date
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils.timezone import localdate

from carecollective.accounts.models import User
from carecollective.core.errors import NotPermitted, ValidationRefused
from rollout.errors import RootCauseFiled, RootCauseNotFound
from rollout.models import RootCause, Source
from rollout.promotion.root_causes import file_root_cause, list_due, list_filed
from rollout.promotion.services import change_stage, roll_back
from rollout.stages import INTERNAL
from tests.operators import MakeStaff

pytestmark = pytest.mark.django_db

ANSWERS: dict[str, Any] = {
    "what": "Offers failed for four minutes.",
    "why": "A missing index.",
    "fix": "Add it, and a test.",
    "who": "Ben",
    "due": "2099-12-01",
}


@pytest.fixture
def due(amina: User, stage: Any) -> int:
    """A form that waits after a rollback."""
    stage("percentage:10")
    roll_back(actor=amina, reason="Errors", source=Source.ADMIN)
    return list_due()[0].id


def test_a_rollback_from_a_live_stage_opens_the_form(due: int, amina: User) -> None:
    (form,) = list_due()
    assert (form.from_stage, form.rolled_back_by, form.rollback_reason) == ("percentage:10", "Amina", "Errors")
    assert (form.what, form.why, form.fix, form.who, form.due, form.filed_at) == ("", "", "", "", None, None)


def test_rollbacks_by_the_guard_and_from_outside_open_a_form_too(stage: Any) -> None:
    stage("internal")
    roll_back(actor=None, reason="Success at 40%", source=Source.GUARD, actor_label="The guard")
    stage("enabled")
    stage("disabled")
    assert [form.from_stage for form in list_due()] == ["enabled", "internal"]


def test_a_flap_from_outside_opens_one_form(stage: Any, amina: User) -> None:
    for _ in range(5):
        stage("internal")
        stage("disabled")
    assert len(list_due()) == 1
    stage("internal")
    roll_back(actor=amina, reason="By a person", source=Source.ADMIN)
    assert len(list_due()) == 2


def test_a_flap_after_the_form_was_filed_opens_another(stage: Any, ben: User) -> None:
    for _ in range(2):
        stage("internal")
        stage("disabled")
        file_root_cause(actor=ben, root_cause_id=list_due()[0].id, **ANSWERS)
    assert len(list_filed()) == 2


def test_neither_a_step_down_nor_a_second_rollback_opens_one(amina: User, stage: Any) -> None:
    stage("percentage:10")
    change_stage(actor=amina, stage=INTERNAL, reason="Slower", source=Source.ADMIN)
    assert list_due() == ()
    roll_back(actor=amina, reason="First", source=Source.ADMIN)
    roll_back(actor=amina, reason="Second", source=Source.ADMIN)
    assert [form.rollback_reason for form in list_due()] == ["First"]


def test_a_form_is_filed_once_and_leaves_the_list(due: int, ben: User, amina: User) -> None:
    filed = file_root_cause(actor=ben, root_cause_id=due, **ANSWERS)
    assert (filed.why, filed.due, filed.filed_by) == ("A missing index.", date(2099, 12, 1), "Ben")
    assert (list_due(), list_filed()) == ((), (filed,))
    with pytest.raises(RootCauseFiled):
        file_root_cause(actor=amina, root_cause_id=due, **ANSWERS | {"why": "Somebody else"})
    assert list_filed() == (filed,)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("what", ""),
        ("why", "  "),
        ("fix", "x" * 2001),
        ("who", "a\0b"),
        ("due", "soon"),
        ("due", "2026-02-30"),
        ("due", ""),
        ("due", "2020-01-01"),
        ("due", str(localdate())),
    ],
)
def test_each_answer_is_needed(name: str, answer: str, due: int, ben: User) -> None:
    with pytest.raises(ValidationRefused) as refusal:
        file_root_cause(actor=ben, root_cause_id=due, **ANSWERS | {name: answer})
    assert list(refusal.value.fields) == [name]
    assert RootCause.objects.get().filed_at is None


def test_filing_takes_the_permission_to_roll_back(due: int, operators: MakeStaff) -> None:
    with pytest.raises(NotPermitted):
        file_root_cause(actor=operators("view", "propose"), root_cause_id=due, **ANSWERS)
    assert RootCause.objects.get().filed_at is None


def test_a_form_that_does_not_exist_is_not_found(ben: User) -> None:
    with pytest.raises(RootCauseNotFound):
        file_root_cause(actor=ben, root_cause_id=1_000_000, **ANSWERS)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM rollout_root_cause",
        "INSERT INTO rollout_root_cause (change_id, what, why, fix, who, filed_by_label) VALUES (1, '', '', '', '', '')",
        "UPDATE rollout_root_cause SET change_id = 1",
    ],
)
def test_the_web_neither_opens_nor_removes_a_form(sql: str, due: int) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
