"""A backup holds everything, says so, and comes back the same to the last character or not at all."""

import json
import os
import re
import shutil
import stat
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper

from carecollective.operations import contents, pg_tools
from carecollective.operations.backups.dumps import list_backups, make_backup, prune_backups
from carecollective.operations.backups.manifest import Manifest, path_of_manifest, read_manifest
from carecollective.operations.backups.restores import compare_with, restore_into
from carecollective.operations.backups.scratch import SCRATCH
from carecollective.operations.errors import OperationError
from carecollective.operations.terminal import Progress
from carecollective.postgres import roles
from carecollective.postgres.embedded.binaries import server_version
from carecollective.takeover.legacy import SAMPLE
from rollout.promotion import automated_checks
from tests import databases
from tests.operations.conftest import Copy, ask, url

Backup = tuple[Path, Manifest]
At = Callable[[str], None]


def quietly(line: str) -> None:
    pass


def run(*arguments: object, **options: Any) -> str:
    out = StringIO()
    call_command(*map(str, arguments), stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def refusal(*arguments: object) -> str:
    with pytest.raises(CommandError) as refused:
        run(*arguments)
    return str(refused.value)


@pytest.fixture
def own_copy(backed_up: Backup, tmp_path: Path) -> Path:
    """The backup in a folder of the test's own."""
    for path in (backed_up[0], path_of_manifest(backed_up[0])):
        shutil.copy(path, tmp_path)
    return tmp_path / backed_up[0].name


def test_it_counts_what_the_policies_hide_from_the_owner(backed_up: Backup, world: str) -> None:
    manifest = backed_up[1]
    for table in ("conversations_v2", "messages_v2", "conversations", "messages", "profiles", "rollout_change"):
        there = ask(world, f"SELECT count(*) FROM {table}")
        assert manifest.tables[f"public.{table}"].rows == there > 0
    assert ask(world, "SELECT count(*) FROM messages_v2", role="owner") == 0


def test_it_covers_every_table(backed_up: Backup, world: str) -> None:
    tables = ask(world, "SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname = 'public'")
    assert {f"public.{table}" for table in tables} == set(backed_up[1].tables)


def test_its_manifest_lists_policies_grants_and_versions(backed_up: Backup) -> None:
    manifest = read_manifest(backed_up[0])
    assert manifest == backed_up[1]
    assert sum(part.table in ("conversations_v2", "messages_v2") for part in manifest.policies) == 5
    assert ("messages_v2", "carecollective_web", "INSERT, SELECT") in {
        (part.table, part.name, part.words) for part in manifest.grants
    }
    assert {"server", "client", "django"} == set(manifest.versions)
    assert manifest.migrations["messaging_v2"] == "0007_read_conversations_in_order"
    assert manifest.started_at < manifest.finished_at
    assert manifest.restore_verified_at is None


def test_nobody_else_on_the_machine_may_read_it(backed_up: Backup) -> None:
    for path in (backed_up[0], path_of_manifest(backed_up[0])):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_command_shows_a_table_and_where_it_is(world: str, at: At, tmp_path: Path) -> None:
    at(world)
    said = run("backup", "--to", tmp_path)
    (dump,) = list_backups(tmp_path)
    count = len(read_manifest(dump).tables)
    for step in ("Checksums", "Dump"):
        assert f"{step}: {count} of {count} tables\n" in said
    assert f"Backup: {dump}" in said
    assert f"manage.py restore {dump} --verify" in said
    assert "public.messages_v2" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == [dump.name, path_of_manifest(dump).name]


def test_a_good_trial_satisfies_the_checklist_and_leaves_nothing(
    own_copy: Path, copy: Copy, at: At, db: None, settings: Any
) -> None:
    settings.BACKUP_DIR = own_copy.parent
    assert automated_checks.check_backup().state == "insufficient"
    name = copy("tried")
    at(name)
    facts = json.loads(run("restore", own_copy, "--verify", "--json"))
    manifest = read_manifest(own_copy)
    assert (facts["ok"], facts["tables"], facts["rows"]) == (True, len(manifest.tables), manifest.rows)
    assert manifest.restore_verified_at is not None
    assert ask("postgres", f"SELECT count(*) FROM pg_database WHERE datname LIKE '{name[:40]}{SCRATCH}%'") == 0
    assert automated_checks.check_backup().state == "pass"


def test_a_restored_database_has_the_same_data_and_policies(backed_up: Backup, fresh: Copy) -> None:
    name = fresh("restored")
    said = run("restore", backed_up[0], "--into", url(name, "owner"))
    messages = backed_up[1].tables["public.messages_v2"]
    assert re.search(rf"^public\.messages_v2 +{messages.rows} +{messages.checksum}$", said, re.MULTILINE)
    assert f"Restored into {name}: {len(backed_up[1].tables)} tables, " in said
    assert ask(name, "SELECT count(*) FROM messages_v2", role="web") == 0
    assert ask(name, "SELECT count(*) FROM messages_v2", role="ops") == messages.rows
    assert json.loads(databases.manage(settings.DATA_DIR, name, "verify_messaging", "--json", role="web").stdout)["ok"]


def hold_something_else(dump: Path) -> None:
    """Let the manifest speak of another message than the dump holds."""
    path = path_of_manifest(dump)
    facts = json.loads(path.read_text())
    facts["tables"]["public.messages_v2"]["checksum"] = "0" * 32
    path.write_text(json.dumps(facts))


def test_a_trial_refuses_a_dump_that_differs_from_its_manifest(own_copy: Path, copy: Copy, at: At) -> None:
    hold_something_else(own_copy)
    name = copy("tried")
    at(name)
    assert refusal("restore", own_copy, "--verify").splitlines() == [
        "The copy is not what was backed up:",
        "- public.messages_v2: all 3 rows are there, and something in them differs",
    ]
    assert read_manifest(own_copy).restore_verified_at is None
    assert ask("postgres", f"SELECT count(*) FROM pg_database WHERE datname LIKE '{name[:40]}{SCRATCH}%'") == 0


def test_a_restore_shows_how_far_it_is_and_compares_as_a_trial_does(own_copy: Path, fresh: Copy, at: At) -> None:
    hold_something_else(own_copy)
    at(fresh("compared"))
    out, count = StringIO(), len(read_manifest(own_copy).tables)
    with pytest.raises(CommandError, match="all 3 rows are there, and something in them differs"):
        call_command("restore", str(own_copy), stdout=out)
    for step in ("Restore", "Checksums"):
        assert f"{step}: {count} of {count} tables\n" in out.getvalue()


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_takes_one_terminal_line_per_kind_of_step() -> None:
    out = Terminal()
    progress = Progress(OutputWrapper(out))
    for line in ("Checksums: 1 of 10 tables", "Checksums: 10 of 10 tables", "Dump: 1 of 1 tables"):
        progress.say(line)
    progress.end()
    assert out.getvalue().splitlines() == [
        *("", "Checksums: 1 of 10 tables", "Checksums: 10 of 10 tables"),
        *("", "Dump: 1 of 1 tables"),
    ]


CHANGES = {
    "UPDATE profiles SET is_admin = NOT is_admin WHERE name = 'outsider'": "public.profiles: all 7 rows are there",
    "DELETE FROM messages WHERE id = (SELECT min(id::text)::uuid FROM messages)": "public.messages: 4 rows expected, 3 found",
    "DROP POLICY participants_read ON messages_v2": "missing: policy messages_v2 participants_read",
    "ALTER POLICY participants_send ON messages_v2 WITH CHECK (true)": "not in the manifest: policy messages_v2",
    "REVOKE INSERT ON messages_v2 FROM carecollective_web": "missing: grant messages_v2 carecollective_web",
    "ALTER TABLE messages_v2 NO FORCE ROW LEVEL SECURITY": "missing: table messages_v2: security t, forced t",
    "DROP INDEX messages_v2_sender": "missing: index messages_v2 messages_v2_sender",
    "ALTER TABLE rollout_change DISABLE TRIGGER USER": "trigger rollout_change rollout_change_refuse_rewriting",
    "DROP TABLE inbox_notification": "public.inbox_notification: missing",
    "CREATE TABLE more ()": "public.more: not in the manifest",
    "ALTER FUNCTION rollout_broken_conversations OWNER TO carecollective_owner": "function rollout_broken_conversations",
}


def test_whatever_differs_from_the_manifest_is_named(backed_up: Backup, copy: Copy) -> None:
    name = copy("changed")
    compare_with(backed_up[1], url(name, "owner"), say=quietly)
    with psycopg.connect(url(name), autocommit=True) as superuser:
        superuser.execute("SET session_replication_role = replica")
        for change in CHANGES:
            superuser.execute(change.encode())
        superuser.execute("GRANT SELECT ON more TO carecollective_ops")
    with pytest.raises(OperationError) as found:
        compare_with(backed_up[1], url(name, "owner"), say=quietly)
    assert [words for words in CHANGES.values() if words not in str(found.value)] == []


def test_one_changed_character_of_one_message_is_noticed(backed_up: Backup, copy: Copy) -> None:
    name = copy("changed")
    with psycopg.connect(url(name), autocommit=True) as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "UPDATE messages_v2 SET content = 'A secret,' WHERE id = (SELECT max(id::text)::uuid FROM messages_v2)"
        )
    with pytest.raises(OperationError) as found:
        compare_with(backed_up[1], url(name, "owner"), say=quietly)
    assert str(found.value).splitlines()[1:] == [
        "- public.messages_v2: all 3 rows are there, and something in them differs"
    ]


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_one_changed_character_is_noticed_before_restoring(own_copy: Path, fresh: Copy, place: float) -> None:
    content = bytearray(own_copy.read_bytes())
    content[int(len(content) * place)] ^= 1
    own_copy.write_bytes(content)
    name = fresh("never")
    assert "is not the file that was written" in refusal("restore", own_copy, "--into", url(name, "owner"))
    assert ask("postgres", f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == 0


def test_without_its_manifest_it_is_no_backup(own_copy: Path, fresh: Copy) -> None:
    path_of_manifest(own_copy).write_text("{")
    assert "cannot be read" in refusal("restore", own_copy, "--into", url(fresh("never"), "owner"))
    path_of_manifest(own_copy).unlink()
    assert "is missing" in refusal("restore", own_copy, "--into", url(fresh("never"), "owner"))
    assert list_backups(own_copy.parent) == []


def test_it_never_goes_into_a_database_that_holds_something(backed_up: Backup, copy: Copy, at: At) -> None:
    name = copy("kept")
    at(name)
    before = ask(name, "SELECT count(*) FROM messages_v2")
    for arguments in ((), ("--into", url(name, "owner"))):
        assert "holds tables already" in refusal("restore", backed_up[0], *arguments)
    assert ask(name, "SELECT count(*) FROM messages_v2") == before


def test_an_untouched_legacy_database_can_be_backed_up(tmp_path: Path, fresh: Copy, at: At) -> None:
    name = fresh("legacy_home")
    with psycopg.connect(url("postgres"), autocommit=True) as server:
        roles.create_database(server, database=name, owner=databases.OWNER)
    with psycopg.connect(url(name), autocommit=True) as superuser:
        roles.grant_database(superuser, database=name, owner=databases.OWNER)
    with psycopg.connect(url(name, "owner"), autocommit=True) as owner:
        for file in ("schema.sql", "data.sql"):
            owner.execute((SAMPLE / file).read_text(encoding="utf-8").encode())
    at(name)
    dump, manifest = make_backup(tmp_path, say=quietly)
    assert manifest.tables["auth.users"].rows > 0
    assert manifest.migrations == {}
    restore_into(dump, url(fresh("legacy_away"), "owner"), say=quietly)


def test_only_the_newest_are_kept_and_other_files_are_left_alone(settings: Any, tmp_path: Path) -> None:
    settings.BACKUP_DIR, settings.BACKUPS_KEPT = tmp_path, 2
    for day in range(1, 6):
        dump = tmp_path / f"carecollective-2026110{day}T000000Z.dump"
        dump.touch()
        path_of_manifest(dump).touch()
    (tmp_path / "mine.dump").touch()
    (tmp_path / "carecollective-20261109T000000Z.dump").touch()  # being written, or its manifest was lost
    assert prune_backups() == 3
    assert [dump.name[15:23] for dump in list_backups(tmp_path)] == ["20261105", "20261104"]
    assert len(list(tmp_path.iterdir())) == 6
    assert prune_backups() == 0


def test_the_command_keeps_as_many_backups_as_asked(world: str, at: At, settings: Any, tmp_path: Path) -> None:
    at(world)
    settings.BACKUP_DIR, settings.BACKUPS_KEPT = tmp_path / "kept", 2
    elsewhere = tmp_path / "elsewhere"
    for folder in (settings.BACKUP_DIR, elsewhere):
        folder.mkdir()
        for day in range(1, 4):
            dump = folder / f"carecollective-2001010{day}T000000Z.dump"
            dump.touch()
            path_of_manifest(dump).touch()
    facts = json.loads(run("backup", "--to", elsewhere, "--json"))
    assert (facts["ok"], facts["deleted"]) == (True, 0)
    assert (len(list_backups(elsewhere)), len(list_backups(settings.BACKUP_DIR))) == (4, 3)
    assert "Deleted: 2 older, 2 are kept." in run("backup")
    assert [dump.name[15:23] for dump in list_backups(settings.BACKUP_DIR)][1:] == ["20010103"]


def test_the_client_program_that_is_missing_is_named(
    world: str, at: At, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at(world)
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path / "nothing"))
    said = refusal("backup", "--to", tmp_path / "backups")
    assert said.startswith(f"pg_dump is missing: install PostgreSQL {server_version()}'s client programs")
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_client_program_that_is_too_old_is_named_with_its_version(
    world: str, at: At, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at(world)
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 14.9 (Debian 14.9-1)'\n")
    old.chmod(0o755)
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))
    words = f"is of version 14, too old for this server of version {server_version()}"
    assert words in refusal("backup", "--to", tmp_path / "backups")
    # On the path it does not matter, as long as the embedded server's own are new enough.
    monkeypatch.delenv("POSTGRES_BIN")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert pg_tools.find_client("pg_dump", server_version=server_version()).version >= server_version()


def test_a_dump_that_fails_leaves_nothing_that_looks_like_a_backup(
    world: str, at: At, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at(world)
    fake = tmp_path / "pg_dump"
    fake.write_text(
        "#!/bin/sh\ncase $1 in --version) echo 'pg_dump (PostgreSQL) 18.4';; *) echo 'pg_dump: error: out of paper' >&2; exit 1;; esac\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))
    assert refusal("backup", "--to", tmp_path / "backups") == "pg_dump failed: out of paper"
    assert list((tmp_path / "backups").iterdir()) == []


def test_the_password_is_in_no_argument(world: str, at: At, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    at(world)
    fake, seen = tmp_path / "pg_dump", tmp_path / "seen"
    fake.write_text(
        f"#!/bin/sh\ncase $1 in --version) echo 'pg_dump (PostgreSQL) 18.4';; *) echo \"$@\" > {seen}; exit 1;; esac\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))
    refusal("backup", "--to", tmp_path / "backups")
    password = json.loads((settings.DATA_DIR / "credentials.json").read_text())["ops"]
    assert "carecollective_ops" in seen.read_text()
    assert password not in seen.read_text()


def test_rows_written_meanwhile_are_in_neither_dump_nor_manifest(
    copy: Copy, at: At, fresh: Copy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = copy("busy")
    at(name)

    def read_while_somebody_signs_up(*args: Any, **options: Any) -> Any:
        found = contents.read_contents(*args, **options)
        ask(name, "UPDATE profiles SET name = 'renamed meanwhile'")
        return found

    monkeypatch.setattr("carecollective.operations.backups.dumps.read_contents", read_while_somebody_signs_up)
    dump, _manifest = make_backup(tmp_path, say=quietly)
    monkeypatch.undo()
    restored = fresh("calm")
    restore_into(dump, url(restored, "owner"), say=quietly)
    assert ask(restored, "SELECT count(*) FROM profiles WHERE name = 'renamed meanwhile'") == 0
