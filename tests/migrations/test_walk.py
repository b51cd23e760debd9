"""Every migration goes back and forth, on a database that was born empty and on one that was taken over."""

import json
import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings

from tests import databases
from tests.migrations import catalog, legacy
from tests.policies.world import populate

OUR_APPS = {
    *("core", "accounts", "help_requests", "adoption", "inbox", "mail", "messaging_v1", "messaging_v2", "safety"),
    *("moderation", "operations", "privacy", "rollout", "contact", "staff"),
}


@pytest.fixture
def scratch() -> Iterator[str]:
    name = f"test_{os.getpid()}_walk"
    yield name
    databases.drop(settings.DATA_DIR, name)


def connect(database: str) -> "psycopg.Connection[Any]":
    return psycopg.connect(databases.superuser_url(settings.DATA_DIR, database), autocommit=True)


def walk(database: str) -> dict[str, Any]:
    code = "from tests.migrations.walk import walk; walk()"
    report: dict[str, Any] = json.loads(
        databases.manage(settings.DATA_DIR, database, "shell", "--verbosity", "0", "--command", code).stdout
    )
    return report


@pytest.mark.slow
def test_every_migration_reverses_on_an_empty_database(template_database: str, scratch: str) -> None:
    databases.recreate(settings.DATA_DIR, scratch, template_database)
    with connect(scratch) as superuser:
        populate(superuser)
    report = walk(scratch)
    assert {step.split(".")[0] for step in report["steps"]} == OUR_APPS
    assert {step: found for step, found in report["steps"].items() if found} == {}
    assert report["in_the_end"] == []
    assert set(report["left_at_zero"]).isdisjoint(catalog.LEGACY_TABLES)
    assert not [table for table in report["left_at_zero"] if not table.startswith(("django_", "auth_"))]


@pytest.mark.slow
def test_every_migration_reverses_on_a_legacy_database(template_database: str, scratch: str) -> None:
    legacy.restore(settings.DATA_DIR, scratch)
    with connect(scratch) as superuser:
        restored = catalog.describe(superuser, catalog.LEGACY_TABLES)
        columns = catalog.checksum_columns(superuser)
        rows = catalog.checksums(superuser, columns)
    databases.migrate(settings.DATA_DIR, scratch)
    report = walk(scratch)
    assert {step: found for step, found in report["steps"].items() if found} == {}
    assert report["in_the_end"] == []
    at_zero = {tuple(words) for words in report["legacy_at_zero"]}
    assert restored - at_zero == set()
    assert {words for words in at_zero if words[0] in catalog.LEGACY_TABLES} - restored == set()
    with connect(scratch) as superuser:
        assert catalog.checksums(superuser, columns) == rows
