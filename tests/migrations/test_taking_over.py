"""What a legacy database is after our migrations: what it was, and beside it what is ours."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command

from tests import databases
from tests.migrations import catalog, legacy
from tests.migrations.catalog import Catalog

V1_TABLES = catalog.LEGACY_TABLES[:3]


@dataclass(frozen=True)
class Takeover:
    before: Catalog
    after: Catalog
    rows_before: dict[str, str]
    rows_after: dict[str, str]


@pytest.fixture(scope="module")
def takeover(template_database: str) -> Iterator[Takeover]:
    name = f"test_{os.getpid()}_takeover"
    legacy.restore(settings.DATA_DIR, name)
    with psycopg.connect(databases.superuser_url(settings.DATA_DIR, name), autocommit=True) as superuser:
        columns = catalog.checksum_columns(superuser)
        before, rows_before = catalog.describe(superuser), catalog.checksums(superuser, columns)
        databases.migrate(settings.DATA_DIR, name)
        after, rows_after = catalog.describe(superuser), catalog.checksums(superuser, columns)
    yield Takeover(before, after, dict(rows_before), dict(rows_after))
    databases.drop(settings.DATA_DIR, name)


@pytest.fixture(scope="module")
def born_empty(template_database: str) -> Iterator[Catalog]:
    name = f"test_{os.getpid()}_as_born"
    databases.recreate(settings.DATA_DIR, name, template_database)
    with psycopg.connect(databases.superuser_url(settings.DATA_DIR, name), autocommit=True) as superuser:
        yield catalog.describe(superuser)
    databases.drop(settings.DATA_DIR, name)


def of(found: Catalog, *tables: str, what: str = "") -> set[tuple[str, str, str]]:
    return {words for words in found if words[0] in tables and (not what or words[1] == what)}


def test_v1_tables_gain_only_policies_and_rights_for_our_roles(takeover: Takeover) -> None:
    gained = of(takeover.after, *V1_TABLES) - of(takeover.before, *V1_TABLES)
    assert of(takeover.before, *V1_TABLES) - of(takeover.after, *V1_TABLES) == set()
    assert {what for _table, what, _words in gained} == {"policy", "grant"}
    for _table, what, words in gained:
        if what == "policy":
            assert words.startswith("carecollective_")
            assert "{carecollective_web}" in words
        else:
            assert words.endswith(("to carecollective_web", "to carecollective_ops"))


def test_no_other_legacy_table_loses_anything(takeover: Takeover) -> None:
    legacy_tables = catalog.LEGACY_TABLES
    assert of(takeover.before, *legacy_tables) - of(takeover.after, *legacy_tables) == set()


def test_no_legacy_function_or_type_changes(takeover: Takeover) -> None:
    assert of(takeover.before, "") - of(takeover.after, "") == set()


def test_no_legacy_row_changes(takeover: Takeover) -> None:
    assert takeover.rows_after == takeover.rows_before
    assert takeover.rows_before["conversations"].startswith("16 ")


def test_profiles_gain_what_signing_in_needs(takeover: Takeover) -> None:
    gained = of(takeover.after, "profiles", what="column") - of(takeover.before, "profiles", what="column")
    assert {words.split()[0] for _table, _what, words in gained} == {
        "email",
        "password",
        "last_login",
        "is_superuser",
        "is_active",
        "signed_out_at",
        "kept_out_reason",
        "wanted_path",
        "unseen_notice_at",
    }


@pytest.mark.parametrize("table", ["profiles", "help_requests", "messaging_preferences", *V1_TABLES])
@pytest.mark.parametrize("what", ["column", "constraint", "trigger", "security", "grant"])
def test_a_table_born_on_an_empty_database_is_the_legacy_one(
    takeover: Takeover, born_empty: Catalog, table: str, what: str
) -> None:
    assert of(born_empty, table, what=what) == of(takeover.after, table, what=what)


def test_a_first_start_makes_every_table_and_no_member(template_database: str) -> None:
    name = f"test_{os.getpid()}_first_start"
    databases.recreate(settings.DATA_DIR, name, template_database)
    try:
        url = databases.superuser_url(settings.DATA_DIR, name)
        with psycopg.connect(url) as superuser:
            for table in (*catalog.LEGACY_TABLES[:6], "conversations_v2", "messages_v2"):
                assert superuser.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,)
            assert superuser.execute("SELECT stage, v1_writes FROM rollout_flag").fetchall() == [("disabled", True)]
        report = databases.manage(settings.DATA_DIR, name, "migrate", "--check", "--verbosity", "0")
        assert report.stderr == ""
    finally:
        databases.drop(settings.DATA_DIR, name)


def test_the_models_are_what_the_migrations_make(db: Any) -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
