"""The files in `sql/` say what the functions are in a freshly migrated database."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps

from carecollective.core.catalog.reader import read_live_catalog
from carecollective.core.catalog.snapshot import load_snapshot
from carecollective.core.sql_functions import load_function

Connect = Callable[..., psycopg.Connection[Any]]


def newest_files() -> Mapping[str, Path]:
    """Return the newest version's file of each function, by its name."""
    newest: dict[str, tuple[int, Path]] = {}
    for app in apps.get_app_configs():
        for path in Path(app.path).glob("sql/*.sql"):
            name, version = re.fullmatch(r"(\w+)_v(\d+)", path.stem).groups()  # type: ignore[union-attr]
            newest[name] = max(newest.get(name, (0, path)), (int(version), path))
    return {name: path for name, (_version, path) in newest.items()}


def functions(session: psycopg.Connection[Any]) -> Mapping[str, str]:
    return {
        name.partition("(")[0]: value for name, value in read_live_catalog(session.cursor()).facts["Functions"].items()
    }


def test_every_function_of_ours_has_its_file() -> None:
    # The other functions in the database are stand-ins for the legacy system's triggers.
    ours = {name.partition("(")[0] for name in load_snapshot().ours["Functions"]}
    assert newest_files().keys() == ours


@pytest.mark.parametrize("name", sorted(newest_files()))
def test_a_file_is_what_the_database_has(connect_as: Connect, name: str) -> None:
    session = connect_as("owner")
    before = functions(session)
    session.execute(newest_files()[name].read_bytes())
    assert functions(session)[name] == before[name], (
        "Write the change as a new version, with a migration that loads it."
    )


def test_a_migration_taken_back_makes_the_version_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps.get_app_config("core"), "path", str(tmp_path))
    (tmp_path / "sql").mkdir()
    for version in (1, 2):
        (tmp_path / f"sql/example_v{version}.sql").write_text(f"-- version {version}")
    first, second = load_function("core", "example"), load_function("core", "example", version=2)
    assert (first.sql, first.reverse_sql) == ("-- version 1", first.noop)
    assert (second.sql, second.reverse_sql) == ("-- version 2", "-- version 1")
