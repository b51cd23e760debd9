"""The commands as a program that runs them sees them: help, an exit status, and JSON whatever happens."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class

from carecollective.operations.backups.manifest import path_of_manifest
from tests.operations.conftest import ask

At = Callable[[str], None]
Run = Callable[..., tuple[int, str, str]]
PACKAGES = {"carecollective", "messaging_v1", "messaging_v2", "rollout"}
OURS = {name: app for name, app in get_commands().items() if app.partition(".")[0] in PACKAGES}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command as its user does, and return its exit status, what it answered and what it said beside that."""

    def run_it(name: str, *arguments: object) -> tuple[int, str, str]:
        status = 0
        try:
            load_command_class(OURS[name], name).run_from_argv(["manage.py", name, *map(str, arguments)])
        except SystemExit as end:
            status = int(end.code or 0)
        return (status, *capsys.readouterr())

    return run_it


def fails(answer: tuple[int, str, str]) -> str:
    """Return why a command failed, which it says to people and to programs alike."""
    status, out, err = answer
    facts = json.loads(out)
    assert (status, facts.pop("ok"), list(facts)) == (1, False, ["error"])
    assert f"CommandError: {facts['error']}\n" in err
    reason: str = facts["error"]
    return reason


def test_these_are_ours() -> None:
    operations = {"backup", "drop_v2", "restore", "verify_messaging"}
    others = {"adopt_legacy", "create_administrator", "create_roles", "database_url", "migrate", "rollout"}
    others |= {"receive_mail", "reset_second_factor"}
    processes = {"guard", "prepare_database", "restart", "serve", "worker"}
    refused = {"waffle_delete", "waffle_flag"}
    assert OURS.keys() == operations | others | processes | refused


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_says_what_it_does(run: Run, name: str) -> None:
    status, out, err = run(name, "--help")
    promise = load_command_class(OURS[name], name).help
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: manage.py {name} ")
    assert promise
    assert "".join(promise.split()) in "".join(out.split())


def test_a_backup_that_cannot_be_made_says_so_in_json(
    run: Run, world: str, at: At, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at("test_nowhere")
    assert "does not exist" in fails(run("backup", "--json", "--to", tmp_path))
    at(world)
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path / "nothing"))
    assert fails(run("backup", "--json", "--to", tmp_path)).startswith("pg_dump is missing")
    monkeypatch.delenv("POSTGRES_BIN")
    (tmp_path / "a file").touch()
    assert "cannot be used" in fails(run("backup", "--json", "--to", tmp_path / "a file" / "folder"))


def test_a_restore_that_cannot_be_made_says_so_in_json(
    run: Run, world: str, at: At, backed_up: tuple[Path, Any], tmp_path: Path, settings: Any
) -> None:
    at(world)
    settings.BACKUP_DIR = tmp_path
    assert fails(run("restore", "latest", "--json")) == f"There is no backup in {tmp_path}."
    assert "holds tables already" in fails(run("restore", backed_up[0], "--json"))
    (tmp_path / "damaged.dump").touch()
    path_of_manifest(tmp_path / "damaged.dump").write_text("{")
    assert "cannot be read" in fails(run("restore", tmp_path / "damaged.dump", "--verify", "--json"))
    assert "must be postgresql://" in fails(run("restore", backed_up[0], "--into", "nowhere", "--json"))


def test_tables_that_must_not_be_dropped_are_named_in_json(run: Run, as_owner: str) -> None:
    assert "3 conversations and 3 messages would be lost" in fails(run("drop_v2", "--json"))
    ask(as_owner, "ALTER TABLE messages_v2 RENAME TO messages_of_v2")
    assert "messages_v2 is not there" in fails(run("drop_v2", "--json"))


def test_a_database_that_cannot_be_looked_at_is_named_in_json(run: Run, template_database: str, at: At) -> None:
    at("test_nowhere")
    for arguments in (("--json",), ("--cheap", "--json")):
        assert "does not exist" in fails(run("verify_messaging", *arguments))
