"""The files in `sql/` say what the functions are in a freshly migrated database."""

import hashlib
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
from tests.databases import ROOT

Connect = Callable[..., psycopg.Connection[Any]]


def newest_files() -> Mapping[str, Path]:
    """Return the newest version's file of each function, by its name."""
    newest: dict[str, tuple[int, Path]] = {}
    for app in apps.get_app_configs():
        for path in Path(app.path).glob("sql/*.sql"):
            name, version = re.fullmatch(r"(\w+)_v(\d+)", path.stem).groups()  # type: ignore[union-attr]
            newest[name] = max(newest.get(name, (0, path)), (int(version), path))
    return {name: path for name, (_version, path) in newest.items()}


def digests() -> Mapping[str, str]:
    """Return the SHA-256 of each file, by its path in the project."""
    files = [path for app in apps.get_app_configs() for path in Path(app.path).glob("sql/*.sql")]
    return {str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def functions(session: psycopg.Connection[Any]) -> Mapping[str, str]:
    return {
        name.partition("(")[0]: value for name, value in read_live_catalog(session.cursor()).facts["Functions"].items()
    }


def test_every_function_of_ours_has_its_file() -> None:
    # The other functions in the database are stand-ins for the legacy system's triggers.
    ours = {name.partition("(")[0] for name in load_snapshot().ours["Functions"]}
    assert newest_files().keys() == ours


def test_the_newest_files_are_what_the_database_has(connect_as: Connect) -> None:
    session = connect_as("owner")
    before = functions(session)
    for path in newest_files().values():
        session.execute(path.read_bytes())
    changed = [name for name, text in functions(session).items() if before.get(name) != text]
    assert changed == [], "Write the change as a new version, with a migration that loads it."


def test_a_file_that_was_loaded_never_changes() -> None:
    # In the format of `sha256sum`. Databases that a changed file was loaded into would keep the earlier text.
    lines = Path(__file__).with_name("sql_functions.sha256").read_text().splitlines()
    listed = {path: digest for digest, path in (line.split() for line in lines)}
    found = digests()
    assert [path for path in listed if found.get(path) != listed[path]] == [], "Write the change as a new version."
    assert listed == found, "Add the new file: sha256sum FILE >> tests/migrations/sql_functions.sha256"


def test_a_migration_taken_back_makes_the_version_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps.get_app_config("core"), "path", str(tmp_path))
    (tmp_path / "sql").mkdir()
    for version in (1, 2):
        (tmp_path / f"sql/example_v{version}.sql").write_text(f"-- version {version}")
    first, second = load_function("core", "example"), load_function("core", "example", version=2)
    assert (first.sql, first.reverse_sql) == ("-- version 1", first.noop)
    assert (second.sql, second.reverse_sql) == ("-- version 2", "-- version 1")
