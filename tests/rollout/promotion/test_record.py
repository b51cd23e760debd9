"""The record of changes is written by the database, whoever changes the flag, and by nobody else."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from carecollective.accounts.models import User
from rollout.models import Change, Flag, Source
from rollout.models.flag import STAGE_SPELLING
from rollout.promotion.services import roll_back
from rollout.stages import Stage, StageKind
from rollout.targeting.state import FLAG_NAME
from tests.roles import as_role
from tests.rollout.conftest import Move

pytestmark = pytest.mark.django_db


def execute(sql: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def session_user() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_user::text")
        return str(cursor.fetchone()[0])


def test_a_change_by_sql_is_recorded_as_from_outside(flag: Flag, move: Move) -> None:
    move("enabled", v1_writes=False)
    change = Change.objects.latest("pk")
    assert (change.source, change.reason) == ("outside", "Changed outside the application")
    assert (change.actor_id, change.actor_label, change.database_role) == (None, session_user(), session_user())
    assert (change.from_stage, change.to_stage) == ("disabled", "enabled")
    assert (change.from_v1_writes, change.to_v1_writes) == (True, False)
    assert change.flag_version == flag.version + 1


def test_a_queryset_update_is_recorded_too() -> None:
    Flag.objects.update(stage="internal")
    last = Change.objects.latest("pk")
    assert (last.source, last.from_stage, last.to_stage) == ("outside", "disabled", "internal")


@pytest.mark.parametrize(
    "arguments",
    [
        ("waffle_flag", FLAG_NAME, "--everyone"),
        ("waffle_flag", FLAG_NAME, "--deactivate"),
        ("waffle_flag", FLAG_NAME, "--percent", "10"),
        ("waffle_flag", FLAG_NAME, "--group", "Internal testers"),
        ("waffle_flag", FLAG_NAME),
        ("waffle_flag", "another", "--create", "--everyone"),
        ("waffle_delete", "--flags", FLAG_NAME),
    ],
)
def test_waffles_own_commands_are_refused_with_a_sentence(arguments: tuple[str, ...], flag: Flag) -> None:
    recorded = list(Change.objects.values())
    with pytest.raises(CommandError, match=r"`manage\.py rollout`"):
        call_command(*arguments)
    assert list(Flag.objects.values()) == [
        {field.attname: getattr(flag, field.attname) for field in Flag._meta.concrete_fields}
    ]
    assert list(Change.objects.values()) == recorded


def test_waffles_list_still_lists(flag: Flag) -> None:
    out = StringIO()
    call_command("waffle_flag", "--list", stdout=out)
    assert FLAG_NAME in out.getvalue()


def test_a_switch_of_waffles_is_none_of_the_flags(flag: Flag, beyond_policies: Any) -> None:
    with beyond_policies():
        call_command("waffle_switch", FLAG_NAME, "on", "--create", stdout=StringIO())
        call_command("waffle_delete", "--switches", FLAG_NAME, stdout=StringIO())
    assert Flag.objects.get().version == flag.version


@pytest.mark.parametrize("columns", [None, ["everyone"], ["stage", "percent"], ["superusers", "note"]])
def test_saving_waffles_columns_is_refused(columns: list[str] | None, flag: Flag) -> None:
    flag.everyone, flag.stage = True, "enabled"
    with pytest.raises(TypeError, match="waffle's settings"):
        flag.save(update_fields=columns)
    assert Flag.objects.values_list("stage", "everyone", "version").get() == ("disabled", None, flag.version)


def test_a_later_statement_of_the_transaction_is_from_outside(operator: User, move: Move) -> None:
    roll_back(actor=operator, reason="By the rules", source=Source.ADMIN)
    move("enabled")
    last = Change.objects.latest("pk")
    assert (last.source, last.actor_id, last.reason) == ("outside", None, "Changed outside the application")


def test_the_version_counts_every_change_and_nobody_sets_it_back(flag: Flag) -> None:
    with as_role("owner"):
        Flag.objects.update(version=1_000_000, note="x")
        Flag.objects.update(version=1, note="y")
    before = flag.version
    flag.refresh_from_db()
    assert flag.version == before + 2


def test_changed_at_is_the_databases_clock(flag: Flag) -> None:
    before = flag.changed_at
    with as_role("owner"):
        Flag.objects.update(changed_at="2001-01-01T00:00:00Z")
    flag.refresh_from_db()
    assert flag.changed_at > before


@pytest.mark.parametrize("column", ["salt", "name"])
def test_the_salt_and_the_name_are_set_once(column: str) -> None:
    with pytest.raises(DatabaseError, match="permission denied"):
        execute(f"UPDATE rollout_flag SET {column} = 'another'")
    with as_role("owner"), pytest.raises(DatabaseError, match="never change"):
        execute(f"UPDATE rollout_flag SET {column} = 'another'")


@pytest.mark.parametrize(
    "stage",
    ["", "true", "Enabled", "percentage:0", "percentage:101", "percentage:10.0", "percentage:010", "enabled\n", "on"],
)
def test_the_database_refuses_what_is_not_a_stages_spelling(stage: str) -> None:
    with pytest.raises(DatabaseError, match="rollout_flag_stage_is_known"), transaction.atomic():
        Flag.objects.update(stage=stage)


def test_the_database_takes_every_spelling_that_the_program_writes() -> None:
    with connection.cursor() as cursor:
        spellings = [str(Stage(StageKind.PERCENTAGE, permille)) for permille in range(1, 1001)]
        cursor.execute("SELECT count(*) FROM unnest(%s::text[]) AS s WHERE s ~ %s", [spellings, STAGE_SPELLING])
        assert cursor.fetchone() == (1000,)


REWRITINGS = [
    "UPDATE rollout_change SET reason = 'nothing to see'",
    "DELETE FROM rollout_change",
    "TRUNCATE rollout_change",
    "TRUNCATE rollout_flag, rollout_change CASCADE",
    "UPDATE rollout_change SET reason = 'x' WHERE id = (SELECT max(id) FROM rollout_change)",
]


@pytest.mark.parametrize("sql", REWRITINGS)
def test_the_web_may_not_rewrite_what_was_recorded(sql: str) -> None:
    before = list(Change.objects.values())
    with pytest.raises(DatabaseError, match="permission denied"):
        execute(sql)
    assert list(Change.objects.values()) == before


@pytest.mark.parametrize("role", ["carecollective_owner", "superuser"])
@pytest.mark.parametrize("sql", REWRITINGS)
def test_not_even_the_tables_owner_rewrites_it(
    sql: str, role: str, beyond_policies: Callable[[], AbstractContextManager[Any]], move: Move
) -> None:
    move("internal")
    before = list(Change.objects.values())
    with beyond_policies() as cursor:
        if role != "superuser":
            cursor.execute(f"SET ROLE {role}")
        with pytest.raises(DatabaseError, match="only ever added to"):
            execute(sql)
    assert list(Change.objects.values()) == before


def test_waffles_own_flag_tables_are_gone() -> None:
    tables = connection.introspection.table_names()
    assert not {"waffle_flag", "waffle_flag_groups", "waffle_flag_users"}.intersection(tables)


def test_the_groups_and_the_four_permissions_exist() -> None:
    operators = Group.objects.get(name="Rollout operators")
    held = {f"{app}.{code}" for app, code in operators.permissions.values_list("content_type__app_label", "codename")}
    assert held == {"rollout.view", "rollout.propose", "rollout.approve", "rollout.rollback"}
    assert not Group.objects.get(name="Internal testers").permissions.exists()
    assert Permission.objects.filter(content_type__app_label="rollout").count() == 4


@pytest.mark.parametrize("role", ["carecollective_web", "carecollective_guard"])
def test_web_and_guard_write_the_record_only_through_the_flag(role: str) -> None:
    asked = "SELECT has_table_privilege(%s, %s, %s)"
    with connection.cursor() as cursor:
        for table, privilege, expected in [
            ("rollout_flag", "SELECT", True),
            ("rollout_flag", "UPDATE", False),  # but for two columns, below: it would let them lock the table
            ("rollout_flag", "INSERT", False),
            ("rollout_flag", "DELETE", False),
            ("rollout_flag", "TRUNCATE", False),
            ("rollout_change", "SELECT", True),
            ("rollout_change", "INSERT", False),
            ("rollout_change", "UPDATE", False),
            ("rollout_change", "DELETE", False),
            ("rollout_change", "TRUNCATE", False),
        ]:
            cursor.execute(asked, [role, table, privilege])
            assert cursor.fetchone() == (expected,), (role, table, privilege)
        cursor.execute(
            "SELECT array_agg(attname::text ORDER BY 1) FROM pg_attribute WHERE attrelid = 'rollout_flag'::regclass"
            " AND attnum > 0 AND has_column_privilege(%s, attrelid, attnum, 'UPDATE')",
            [role],
        )
        assert cursor.fetchone() == (["stage", "v1_writes"],)
