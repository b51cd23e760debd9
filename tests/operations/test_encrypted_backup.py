"""With a public key set, no word of a backup is on the disk, and only the secret key brings it back."""

import os
import resource
import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pyrage
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from carecollective.env import age_recipients, read
from carecollective.operations.backups.dumps import list_backups, make_backup, prune_backups, prune_partials
from carecollective.operations.backups.manifest import path_of_manifest
from carecollective.operations.pg_tools import find_client
from carecollective.postgres.embedded.binaries import server_version
from tests.operations.conftest import Copy, ask, url

At = Callable[[str], None]
# What a dump begins with.
PLAIN = b"PGDMP"


@pytest.fixture
def key(settings: Any, tmp_path: Path) -> Path:
    """A file with the secret key of the public one that is set."""
    identity = pyrage.x25519.Identity.generate()
    settings.BACKUP_RECIPIENT = [identity.to_public()]
    return write_key(tmp_path / "key.txt", identity)


def write_key(path: Path, identity: Any) -> Path:
    # As age-keygen does.
    path.write_text(f"# created: 2026-11-02T12:00:00Z\n# public key: {identity.to_public()}\n{identity}\n")
    return path


@pytest.fixture
def encrypted(world: str, at: At, key: Path, tmp_path: Path) -> Path:
    at(world)
    return make_backup(tmp_path / "backups", say=lambda line: None)[0]


def refusal(*arguments: object) -> str:
    with pytest.raises(CommandError) as refused:
        call_command(*map(str, arguments), stdout=StringIO(), stderr=StringIO())
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_at_no_moment_is_a_plain_byte_of_it_on_the_disk(world: str, at: At, key: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    beginnings: set[bytes] = set()

    def look(line: str) -> None:
        beginnings.update(path.read_bytes()[:5] for path in folder.glob("*.dump*"))

    at(world)
    dump, manifest = make_backup(folder, say=look)
    assert beginnings <= {b"", b"age-e"}
    assert dump.name.endswith(".dump.age")
    assert sorted(folder.iterdir()) == sorted([dump, path_of_manifest(dump)])
    content = dump.read_bytes()
    assert PLAIN not in content
    assert len(content) == manifest.bytes
    assert list_backups(folder) == [dump]


def test_the_secret_key_restores_it_whole(encrypted: Path, key: Path, fresh: Copy, world: str) -> None:
    name = fresh("restored")
    call_command("restore", str(encrypted), "--into", url(name, "owner"), "--identity", str(key), stdout=StringIO())
    assert ask(name, "SELECT count(*) FROM messages_v2") == ask(world, "SELECT count(*) FROM messages_v2")


def test_a_trial_takes_the_key_from_the_setting_and_leaves_nothing(
    encrypted: Path, key: Path, copy: Copy, at: At, settings: Any
) -> None:
    at(copy("tried"))
    settings.BACKUP_IDENTITY_FILE = key
    call_command("restore", str(encrypted), "--verify", stdout=StringIO())
    assert sorted(encrypted.parent.iterdir()) == sorted([encrypted, path_of_manifest(encrypted)])


def test_another_key_is_refused_in_one_sentence(encrypted: Path, tmp_path: Path, fresh: Copy) -> None:
    name = fresh("never")
    into = ("restore", encrypted, "--into", url(name, "owner"))
    other = write_key(tmp_path / "other.txt", pyrage.x25519.Identity.generate())
    broken = tmp_path / "broken.txt"
    broken.write_text("my key")
    assert refusal(*into, "--identity", other) == f"{encrypted} is encrypted for another key than {other} holds."
    assert refusal(*into, "--identity", broken).startswith(f"{broken} holds no secret key")
    assert refusal(*into, "--identity", tmp_path / "none").endswith("cannot be read: No such file or directory.")
    assert "name the file that holds the secret key with --identity" in refusal(*into)
    assert ask("postgres", f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == 0


def test_a_dump_that_fails_leaves_nothing(
    world: str, at: At, key: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "pg_dump"
    version = find_client("pg_dump", server_version=server_version()).description
    fake.write_text(
        f"#!/bin/sh\ncase $1 in --version) echo '{version}';; *) echo PGDMP; echo 'pg_dump: error: out of paper' >&2; exit 1;; esac\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))
    at(world)
    assert refusal("backup", "--to", tmp_path / "backups") == "pg_dump failed: out of paper"
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing(world: str, at: At, key: Path, tmp_path: Path) -> None:
    at(world)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        said = refusal("backup", "--to", tmp_path / "backups")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert said.startswith("pg_dump failed: ")
    assert "File too large" in said
    assert list((tmp_path / "backups").iterdir()) == []


def test_encrypted_and_plain_ones_are_kept_and_pruned_alike(settings: Any, tmp_path: Path) -> None:
    settings.BACKUP_DIR, settings.BACKUPS_KEPT = tmp_path, 2
    for day, end in enumerate((".dump", ".dump.age", ".dump", ".dump.age"), start=1):
        dump = tmp_path / f"carecollective-2026110{day}T000000Z{end}"
        dump.touch()
        path_of_manifest(dump).touch()
    assert prune_backups() == 2
    assert [dump.name[15:] for dump in list_backups(tmp_path)] == [
        "20261104T000000Z.dump.age",
        "20261103T000000Z.dump",
    ]
    assert len(list(tmp_path.iterdir())) == 4


def test_what_a_killed_one_left_goes_whatever_the_moment(tmp_path: Path) -> None:
    name = "carecollective-20261101T000000Z"
    for files in (
        (f"{name}.dump.age.partial", f"{name}.manifest.json.partial"),
        (f"{name}.dump.age", f"{name}.manifest.json.partial"),
        (f"{name}.dump.age.partial", f"{name}.manifest.json"),
    ):
        for file in files:
            (tmp_path / file).touch()
        prune_partials(tmp_path)
        assert os.listdir(tmp_path) == []


def test_a_secret_key_by_mistake_stops_the_start_and_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = str(pyrage.x25519.Identity.generate())
    for value, words in ((identity, "it is set to a secret key"), ("age1wrong", "must be public keys")):
        monkeypatch.setenv("BACKUP_RECIPIENT", value)
        with pytest.raises(ImproperlyConfigured, match=words) as refused:
            read("BACKUP_RECIPIENT", [], age_recipients, "public keys of age")
        assert identity not in str(refused.value)
