import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from pytest_django import Settings

from carecollective.accounts.models import User
from carecollective.core.errors import NotPermitted
from carecollective.formats.moments import moment
from carecollective.serving.startup_checks import Danger
from rollout.errors import ItemUnknown, SamePerson
from rollout.models import SignOff
from rollout.promotion import automated_checks, checklist
from rollout.promotion.checklist import judge_checklist
from rollout.promotion.sign_offs import ENGINEERING, PRODUCT, ChecklistItem, sign, withdraw
from rollout.releases import current_release
from tests.operators import MakeStaff
from tests.rollout.promotion.conftest import count

pytestmark = pytest.mark.django_db


def item(name: str) -> ChecklistItem:
    return next(found for found in judge_checklist() if found.name == name)


@pytest.fixture
def backups(settings: Settings, tmp_path: Path) -> Callable[..., None]:
    settings.BACKUP_DIR = tmp_path

    def keep(*, hours: float, restored: bool, name: str = "one.manifest.json") -> None:
        at = timezone.now() - timedelta(hours=hours)
        text = json.dumps({"finished_at": at.isoformat(), "restore_verified_at": at.isoformat() if restored else None})
        (tmp_path / name).write_text(text)

    return keep


def test_the_ten_items_are_in_order_and_none_passes_by_default() -> None:
    found = judge_checklist()
    assert [one.number for one in found] == list(range(1, 11))
    assert [one.name for one in found if one.judged_by != "program"] == [
        "unit_tests",
        "e2e_tests",
        "rollback_plan",
        "stakeholders",
    ]
    assert {one.state for one in found if one.judged_by != "program"} == {"insufficient"}
    assert all(one.words for one in found)


def test_all_ten_pass_once_everything_is_there_and_signed(sound: None, signed: None) -> None:
    assert {one.name: one.words for one in judge_checklist() if one.state != "pass"} == {}


@pytest.mark.parametrize("lost", ["is_active", "is_staff"])
def test_a_signature_counts_while_its_signer_is_staff(ben: User, lost: str) -> None:
    sign(actor=ben, item="unit_tests")
    assert item("unit_tests").state == "pass"
    User.objects.filter(pk=ben.pk).update(**{lost: False})
    found = item("unit_tests")
    assert (found.state, found.signatures[0].lapsed) == ("insufficient", True)
    assert "leaves the staff" in found.words


def test_a_signature_carries_name_and_date(ben: User) -> None:
    sign(actor=ben, item="unit_tests")
    found = item("unit_tests")
    assert (found.state, found.parts) == ("pass", ())
    assert found.signatures[0].signer == "Ben"
    said = (
        f"Signed by Ben (engineering lead) at {moment(found.signatures[0].signed_at)} for release {current_release()}."
    )
    assert found.words == said


def test_the_stakeholders_are_two_people(ben: User, amina: User) -> None:
    sign(actor=ben, item="stakeholders", part=ENGINEERING)
    assert (item("stakeholders").state, item("stakeholders").parts) == ("insufficient", (PRODUCT,))
    assert item("stakeholders").words == "Still to be signed by the product owner."
    with pytest.raises(SamePerson):
        sign(actor=ben, item="stakeholders", part=PRODUCT)
    assert SignOff.objects.count() == 1
    sign(actor=amina, item="stakeholders", part=PRODUCT)
    assert item("stakeholders").state == "pass"
    assert "Ben (engineering lead)" in item("stakeholders").words


def test_a_signature_can_be_withdrawn_and_stays_in_the_record(ben: User, amina: User) -> None:
    sign(actor=ben, item="e2e_tests")
    withdraw(actor=amina, item="e2e_tests")
    assert (item("e2e_tests").state, item("e2e_tests").signatures) == ("insufficient", ())
    assert SignOff.objects.count() == 2


def test_what_was_signed_before_a_rollback_no_longer_counts(ben: User, stage: Any) -> None:
    sign(actor=ben, item="unit_tests")
    stage("internal")
    assert item("unit_tests").state == "pass"
    stage("disabled")
    found = item("unit_tests")
    assert (found.state, found.signatures[0].lapsed) == ("insufficient", True)
    assert "ends with a rollback" in found.words
    sign(actor=ben, item="unit_tests")
    assert item("unit_tests").state == "pass"


def test_signing_takes_the_permission_and_an_item_that_people_sign(operators: MakeStaff, ben: User) -> None:
    with pytest.raises(NotPermitted):
        sign(actor=operators("view", "propose"), item="unit_tests")
    with pytest.raises(NotPermitted):
        withdraw(actor=operators("view"), item="unit_tests")
    for name, part in (("schema", ""), ("nonsense", ""), ("stakeholders", ""), ("unit_tests", PRODUCT)):
        with pytest.raises(ItemUnknown):
            sign(actor=ben, item=name, part=part)
    assert not SignOff.objects.exists()


@pytest.mark.parametrize("sql", ["DELETE FROM rollout_sign_off", "UPDATE rollout_sign_off SET signer_label = 'Ada'"])
def test_nobody_rewrites_a_signature(sql: str, ben: User, beyond_policies: Any) -> None:
    sign(actor=ben, item="unit_tests")
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    with beyond_policies() as cursor, pytest.raises(DatabaseError, match="only ever added to"), transaction.atomic():
        cursor.execute(sql)


def test_the_plan_passes_only_once_it_is_understood_too(ben: User, settings: Settings, tmp_path: Path) -> None:
    sign(actor=ben, item="rollback_plan")
    assert item("rollback_plan").state == "pass"
    settings.BASE_DIR = tmp_path
    assert (item("rollback_plan").state, item("rollback_plan").judged_by) == ("fail", "both")


def test_without_a_backup_the_item_says_so_and_does_not_pass(backups: Callable[..., None]) -> None:
    assert item("backup").state == "insufficient"
    assert "no backup" in item("backup").words


def test_a_backup_counts_for_24_hours_and_once_it_was_restored(backups: Callable[..., None]) -> None:
    backups(hours=2, restored=True)
    assert item("backup").state == "pass"
    backups(hours=1, restored=False)
    assert (item("backup").state, "nobody has restored" in item("backup").words) == ("insufficient", True)
    backups(hours=23.9, restored=True)
    assert (item("backup").state, "23.9 hours old" in item("backup").words) == ("pass", True)
    backups(hours=24.1, restored=True)
    assert (item("backup").state, "24.1 hours old" in item("backup").words) == ("fail", True)


def test_one_restored_backup_is_enough_and_broken_manifests_are_none(
    backups: Callable[..., None], settings: Settings
) -> None:
    backups(hours=30, restored=True, name="old.manifest.json")
    backups(hours=3, restored=True, name="tried.manifest.json")
    backups(hours=1, restored=False, name="new.manifest.json")
    for number, text in enumerate(("", "[]", "{}", '{"finished_at": 3}', '{"finished_at": "2999-01-01"}', "\x00")):
        (settings.BACKUP_DIR / f"{number}.manifest.json").write_text(text)
    assert (item("backup").state, "3.0 hours old" in item("backup").words) == ("pass", True)


def test_a_missing_constraint_is_named(sound: None, beyond_policies: Any) -> None:
    assert item("schema").state == "pass"
    with beyond_policies() as cursor:
        cursor.execute("ALTER TABLE conversations_v2 DROP CONSTRAINT conversations_v2_two_people")
    found = item("schema")
    assert found.state == "fail"
    assert "conversations_v2_two_people" in found.words


def test_a_way_around_the_policies_fails_the_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        automated_checks, "find_dangers", lambda: iter([Danger("core.E004", "Row-level security is off.")])
    )
    assert item("policies").words == "Row-level security is off."
    monkeypatch.setattr(automated_checks, "find_dangers", lambda: iter(()))
    assert item("policies").state == "pass"


def test_the_flag_passes_at_any_stage_and_not_without_its_row(stage: Any, beyond_policies: Any) -> None:
    assert "at disabled" in item("flag").words
    stage("internal")
    assert "under way at internal" in item("flag").words
    with beyond_policies() as cursor:
        cursor.execute("DELETE FROM rollout_flag")
    assert automated_checks.check_flag().state == "fail"


def test_metrics_pass_by_records_or_by_a_trial_that_leaves_nothing(beyond_policies: Any) -> None:
    assert "trial record was taken and removed" in item("metrics").words
    assert count("application_logs") == 0
    with beyond_policies() as cursor:
        cursor.execute("REVOKE INSERT ON application_logs FROM carecollective_web")
    found = item("metrics")
    assert (found.state, "InsufficientPrivilege" in found.words) == ("fail", True)


@pytest.mark.parametrize(("age", "state"), [("30 s", "pass"), ("61 s", "fail"), (None, "fail")])
def test_alert_rules_count_while_a_guard_evaluates_them(
    age: str | None, state: str, beyond_policies: Any, sound: None
) -> None:
    with beyond_policies() as cursor:
        cursor.execute("DELETE FROM rollout_guard_lease")
        if age:
            cursor.execute(
                "INSERT INTO rollout_guard_lease (id, holder, renewed_at) VALUES (1, 'x', clock_timestamp() - %s::interval)",
                [age],
            )
    assert item("alerts").state == state


def test_without_rules_the_item_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automated_checks, "RULES", ())
    assert item("alerts").state == "fail"
    assert checklist.ITEMS[7].name == "alerts"
