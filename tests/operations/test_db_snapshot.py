"""The snapshot is what the migrations make, and is read the same way by every role and on every database."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings

from carecollective.core.catalog.comparison import find_catalog_differences
from carecollective.core.catalog.reader import read_live_catalog
from carecollective.core.catalog.snapshot import PATH, write_snapshot
from tests.db_snapshot import read_copy, take_snapshot
from tests.migrations.legacy import prepare_taken_over_template

Connect = Callable[..., psycopg.Connection[Any]]


def test_the_snapshot_is_in_step_with_the_migrations(template_database: str, tmp_path: Path) -> None:
    write_snapshot(take_snapshot(settings.DATA_DIR), tmp_path / "now.json")
    # Compared line by line, so that a failure shows which.
    assert (tmp_path / "now.json").read_text().splitlines() == PATH.read_text().splitlines(), "Run `make db-snapshot`."


@pytest.mark.parametrize("role", ["web", "ops", "guard", "owner", "superuser"])
def test_every_role_reads_the_same(connect_as: Connect, role: str) -> None:
    session = connect_as(role)
    session.execute("SET search_path = elsewhere, public")
    live = read_live_catalog(session.cursor())
    assert list(find_catalog_differences(live)) == []
    assert session.execute("SHOW search_path").fetchone() == ("elsewhere, public",)


def test_a_database_that_was_taken_over_is_as_agreed(template_database: str) -> None:
    live = read_copy(settings.DATA_DIR, prepare_taken_over_template(settings.DATA_DIR))
    assert not live.made_here
    assert list(find_catalog_differences(live)) == []


def test_a_function_of_the_same_name_elsewhere_does_not_pass_as_ours(connect_as: Connect) -> None:
    session = connect_as("superuser")
    session.execute(
        "CREATE SCHEMA elsewhere; CREATE FUNCTION elsewhere.current_member() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'"
    )
    session.execute("ALTER POLICY helper_opens ON conversations_v2 WITH CHECK (helper_id = elsewhere.current_member())")
    session.execute("SET LOCAL search_path = elsewhere, public")
    (difference,) = find_catalog_differences(read_live_catalog(session.cursor()))
    assert difference.name == "conversations_v2.helper_opens"
    assert "elsewhere.current_member()" in str(difference.found)
