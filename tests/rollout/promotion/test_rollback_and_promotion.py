"""A rollback against a promotion: an earlier promotion never wins, and a later one is never undone."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from rollout.errors import NothingToChange
from rollout.models import Change, Flag, Rollback, Source
from rollout.promotion import audit_log, rollbacks
from rollout.promotion.services import change_stage, roll_back, set_v1_writes
from rollout.stages import DISABLED, INTERNAL
from rollout.targeting import snapshot
from tests.roles import as_role

Connect = Callable[..., "psycopg.Connection[Any]"]
Stage = Callable[..., None]

UP = "UPDATE rollout_flag SET stage = 'enabled', v1_writes = false"
INSERT = "INSERT INTO rollout_rollback (actor_label, source, reason) VALUES ('Stella', 'admin', 'Offers fail')"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollbacks, "LEAVE_ALONE", timedelta(0))


def recorded() -> list[tuple[str | None, str | None, str]]:
    return list(Change.objects.order_by("pk").values_list("from_stage", "to_stage", "reason"))


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_promotion_in_flight_at_the_rollback_does_not_win(
    committed_db: None, stage: Stage, connect_as: Connect, isolation: str
) -> None:
    stage("internal")
    promoting = connect_as("web")
    promoting.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}".encode())
    promoting.execute(UP.encode())
    change = roll_back(actor=None, reason="Offers fail", source=Source.COMMAND)
    before = snapshot.read_now()
    assert (before.stage, before.v1_writes, change.is_recorded) == (DISABLED, True, False)
    promoting.commit()
    after = snapshot.read_now()
    assert (after.stage, after.v1_writes) == (DISABLED, True)
    assert after.version > before.version
    assert rollbacks.finish() == 1
    assert snapshot.read_now() == after
    assert Flag.objects.get().stage == "disabled"
    assert recorded()[-2:] == [
        ("internal", "enabled", "Changed outside the application"),
        ("enabled", "disabled", "Offers fail"),
    ]
    assert audit_log.verify().problems == ()


def test_a_promotion_that_began_before_a_rollback_is_undone_too(
    committed_db: None, stage: Stage, connect_as: Connect
) -> None:
    """Its snapshot cannot see the rollback: the database cannot refuse it, so the readers do."""
    stage("internal")
    holding, promoting = connect_as("web"), connect_as("web")
    promoting.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    promoting.execute("SELECT stage FROM rollout_flag")
    holding.execute("SELECT FROM rollout_flag FOR SHARE")
    roll_back(actor=None, reason="Offers fail", source=Source.COMMAND)
    holding.rollback()
    promoting.execute(UP.encode())
    promoting.commit()
    assert snapshot.read_now().stage == DISABLED
    assert rollbacks.finish() == 1
    assert (snapshot.read_now().stage, Flag.objects.get().stage) == (DISABLED, "disabled")


def test_a_promotion_after_the_rollback_is_not_undone_by_it(committed_db: None, stage: Stage) -> None:
    stage("enabled")
    roll_back(actor=None, reason="Offers fail", source=Source.COMMAND)
    change_stage(actor=None, stage=INTERNAL, reason="Repaired", source=Source.COMMAND, override=True)
    assert rollbacks.finish() == 0
    rollbacks.settle()
    assert snapshot.read_now().stage == INTERNAL
    assert [reason for _before, _after, reason in recorded()][-2:] == ["Offers fail", "Repaired"]


@pytest.mark.parametrize("new", ["internal", "percentage:50", "enabled", "percentage:10"])
def test_while_a_rollback_waits_nobody_can_move_the_stage(
    committed_db: None, stage: Stage, connect_as: Connect, new: str
) -> None:
    stage("percentage:10")
    changes = Change.objects.count()
    with connect_as("guard", autocommit=True) as guard:
        guard.execute(INSERT.encode())
    for role in ("web", "guard", "owner", "superuser"):
        session = connect_as(role, autocommit=True)
        with pytest.raises(psycopg.errors.CheckViolation, match="A rollback is in force"):
            session.execute("UPDATE rollout_flag SET stage = %s", [new])
    superuser = connect_as("superuser")
    superuser.execute("DELETE FROM rollout_flag")
    with pytest.raises(psycopg.errors.CheckViolation):
        superuser.execute(
            "INSERT INTO rollout_flag (name, superusers, testing, staff, authenticated, languages, rollout, note,"
            " created, modified, salt, v1_writes, version, stage)"
            " VALUES ('messaging_v2', false, false, false, false, '', false, '', now(), now(), 'x', true, 1, %s)",
            [new],
        )
    superuser.rollback()
    assert Change.objects.count() == changes
    assert snapshot.read_now().stage == DISABLED


def test_services_carry_waiting_rollbacks_over_before_a_change(
    committed_db: None, stage: Stage, connect_as: Connect
) -> None:
    stage("percentage:10", v1_writes=False)
    with connect_as("guard", autocommit=True) as guard:
        guard.execute(INSERT.encode())
    with pytest.raises(NothingToChange):  # they are on already, by the rollback
        set_v1_writes(actor=None, on=True, reason="For now", source=Source.COMMAND)
    change_stage(actor=None, stage=INTERNAL, reason="Repaired", source=Source.COMMAND, override=True)
    assert [(before, after) for before, after, _reason in recorded()][-2:] == [
        ("percentage:10", "disabled"),
        ("disabled", "internal"),
    ]
    assert not Rollback.objects.filter(change_id=None).exists()


def test_a_step_overtaken_by_a_rollback_says_so(
    committed_db: None, stage: Stage, connect_as: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage("disabled")
    lock, guard = rollbacks.lock_flag, connect_as("guard", autocommit=True)

    def lock_and_be_overtaken() -> Flag:
        flag = lock()
        guard.execute(INSERT.encode())
        return flag

    monkeypatch.setattr(rollbacks, "lock_flag", lock_and_be_overtaken)
    changes = Change.objects.count()
    with pytest.raises(NothingToChange, match="nothing_to_change") as refusal:
        change_stage(actor=None, stage=INTERNAL, reason="Next", source=Source.COMMAND, override=True)
    assert "changed meanwhile" in str(refusal.value.message)
    assert Change.objects.count() == changes


# What the database lets a session do to the rows that turn V2 off


@pytest.mark.parametrize("role", ["web", "guard"])
def test_no_session_can_make_an_insert_wait_or_take_a_rollback_back(
    committed_db: None, stage: Stage, connect_as: Connect, role: str
) -> None:
    stage("enabled")
    session = connect_as(role)
    denied = (
        "LOCK TABLE rollout_rollback IN SHARE MODE",
        "LOCK TABLE rollout_rollback IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE rollout_flag IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE rollout_flag IN SHARE MODE",
        "SELECT FROM rollout_rollback FOR UPDATE",
        "SELECT nextval('rollout_rollback_id_seq')",
        "SELECT setval('rollout_rollback_id_seq', 1)",
        # A key of one's own choice, not committed, would keep whoever draws the same one waiting.
        "INSERT INTO rollout_rollback (id, actor_label, source, reason)"
        " OVERRIDING SYSTEM VALUE VALUES (2, '', 'admin', '')",
        "INSERT INTO rollout_rollback (actor_label, source, reason, database_role) VALUES ('', 'admin', '', 'x')",
        "INSERT INTO rollout_rollback (actor_label, source, reason, change_id) VALUES ('', 'admin', '', 1)",
        "INSERT INTO rollout_rollback (actor_label, source, reason, at) VALUES ('', 'admin', '', now())",
        "UPDATE rollout_rollback SET change_id = 1",
        "DELETE FROM rollout_rollback",
        "TRUNCATE rollout_rollback",
    )
    for statement in denied:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"permission denied|must be owner"):
            session.execute(statement.encode())
        session.rollback()
    # All that it may do, it does and holds; the rollback does not notice.
    for statement in (INSERT, "LOCK TABLE rollout_rollback IN ACCESS SHARE MODE", "SELECT * FROM rollout_state"):
        session.execute(statement.encode())
    began = roll_back(actor=None, reason="Offers fail", source=Source.COMMAND)
    assert began.is_recorded
    assert snapshot.read_now().stage == DISABLED
    session.rollback()


@pytest.mark.django_db
def test_a_settled_rollback_stays_as_it_is_for_the_owner_too(stage: Stage) -> None:
    stage("enabled")
    roll_back(actor=None, reason="Offers fail", source=Source.COMMAND)
    for statement in (
        "UPDATE rollout_rollback SET change_id = NULL",
        "DELETE FROM rollout_rollback",
        "TRUNCATE rollout_rollback",
    ):
        refused = pytest.raises(DatabaseError, match=r"settled|only ever added")
        with as_role("owner"), refused, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.mark.django_db
def test_a_forged_carry_over_changes_nothing_of_the_record(stage: Stage) -> None:
    stage("enabled")
    roll_back(actor=None, reason="Offers fail", source=Source.COMMAND)
    settled = Rollback.objects.latest("pk")
    stage("enabled")
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('rollout.rollback_id', %s, true)", [str(settled.pk)])
    stage("disabled")
    assert recorded()[-1] == ("enabled", "disabled", "Changed outside the application")
    assert Rollback.objects.get(pk=settled.pk).change_id == settled.change_id


def test_the_first_words_of_a_rollback_have_room_on_a_full_disk(committed_db: None, connect_as: Connect) -> None:
    """An empty table would have to grow for its first row."""
    size = connect_as("superuser").execute(
        "SELECT pg_relation_size('rollout_rollback'), pg_relation_size('rollout_rollback_pkey')"
    )
    assert size.fetchone() == (8192, 16384)


def test_an_error_that_is_none_of_a_rollbacks_is_not_taken_for_one(
    committed_db: None, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Flag, **options: Any) -> None:
        raise IntegrityError("another constraint")

    stage("percentage:10")
    monkeypatch.setattr(Flag, "save", fail)
    with pytest.raises(IntegrityError):
        change_stage(actor=None, stage=INTERNAL, reason="Calmly", source=Source.COMMAND)
