"""A backup comes back whole or not at all, by pg_restore alone and, on servers older than the program, through psql."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings

from carecollective.operations import pg_tools
from carecollective.operations.backups import restores
from carecollective.operations.backups.manifest import Manifest
from carecollective.operations.errors import OperationError
from carecollective.postgres.dsn import build_url, parse_url
from carecollective.postgres.embedded.binaries import server_version
from tests import databases
from tests.operations.conftest import Copy, ask, url
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

Backup = tuple[Path, Manifest]
At = Callable[[str], None]


@pytest.fixture(params=["pg_restore", "psql"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which program writes into the database."""

    def by_script(client: pg_tools.Client, arguments: list[str], **options: Any) -> None:
        if options["url"] is None:
            pg_tools.run_client(client, arguments, **options)
        else:
            pg_tools.run_script(client, [one for one in arguments if one not in ALONE], **options)

    if request.param == "psql":
        monkeypatch.setattr(restores, "run_client", by_script)
    return str(request.param)


ON_THE_SERVER = {"TEST_DATABASE": settings.DATABASES["default"]["NAME"], "TEST_DATA_DIR": str(settings.DATA_DIR)}
ALONE = {"--single-transaction", "--exit-on-error"}


def quietly(line: str) -> None:
    pass


def programs(folder: Path, **scripts: str) -> None:
    """Put a folder of client programs together, of which some are scripts."""
    for name in ("pg_restore", "psql"):
        real = pg_tools.find_client(name, server_version=server_version()).path
        if name in scripts:
            (folder / name).write_text(f"#!/bin/sh\n{scripts[name].format(real=real)}\n")
            (folder / name).chmod(0o755)
        else:
            (folder / name).symlink_to(real)


def test_a_restored_database_is_what_its_manifest_says(backed_up: Backup, fresh: Copy, way: str) -> None:
    name, lines = fresh(f"restored_by_{way}"), list[str]()
    restores.restore_into(backed_up[0], url(name, "owner"), say=lines.append)
    tables = len(backed_up[1].tables)
    assert f"Restore: {tables} of {tables} tables" in lines


def test_a_restore_that_is_cut_off_leaves_the_database_empty(
    backed_up: Backup, fresh: Copy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    name = fresh(f"cut_off_{way}")
    # Half of the script, and then an end that nobody expected.
    cut = 'case $* in *--list*|*--version*) exec {real} "$@";; *--file=-*) {real} "$@" | head -n 2000;; esac; kill -TERM $$'
    programs(tmp_path, pg_restore=cut)
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))
    with pytest.raises(OperationError, match="pg_restore failed"):
        restores.restore_into(backed_up[0], url(name, "owner"), say=quietly)
    assert ask(name, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    assert ask(name, "SELECT has_schema_privilege('carecollective_ops', 'public', 'CREATE')") is False


def test_a_refused_script_leaves_the_database_empty_and_says_why(
    backed_up: Backup, fresh: Copy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = fresh("refused_script")
    programs(tmp_path, pg_restore='{real} "$@"; case $* in *--file=-*) echo "SELECT no_such_thing();";; esac')
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))
    database = url(name, "owner")
    restores._create_database(database)
    client = pg_tools.find_client("pg_restore", server_version=server_version())
    with pytest.raises(OperationError, match=r"^psql failed: .*no_such_thing"):
        source = restores._open_source(backed_up[0], None)
        pg_tools.run_script(client, ["--no-owner"], url=database, on_line=quietly, give_input=source)
    assert ask(name, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_a_script_that_fails_early_says_why(
    backed_up: Backup, fresh: Copy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = fresh("refused_early")
    programs(
        tmp_path, pg_restore='case $* in *--file=-*) echo "SELECT no_such_thing();"; sleep 1;; esac; exec {real} "$@"'
    )
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))
    database = url(name, "owner")
    restores._create_database(database)
    client = pg_tools.find_client("pg_restore", server_version=server_version())
    source = restores._open_source(backed_up[0], None)
    with pytest.raises(OperationError, match=r"^psql failed: .*no_such_thing"):
        pg_tools.run_script(client, ["--no-owner"], url=database, on_line=quietly, give_input=source)
    assert ask(name, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


KILLED = """
import sys
from pathlib import Path
import django
django.setup()
from carecollective.operations import pg_tools
from carecollective.operations.backups import restores
client = pg_tools.find_client("pg_restore", server_version=1)
source = restores._open_source(Path(sys.argv[1]), None)
pg_tools.run_script(client, ["--no-owner"], url=sys.argv[2], on_line=print, give_input=source)
"""


def test_a_killed_restore_commits_nothing(backed_up: Backup, fresh: Copy, tmp_path: Path) -> None:
    name = fresh("killed_restore")
    database = url(name, "owner")
    restores._create_database(database)
    # All of the script, and an end that does not come.
    programs(tmp_path, pg_restore='{real} "$@"; case $* in *--file=-*) sleep 60;; esac')
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.scratch_settings", "POSTGRES_BIN": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(backed_up[0]), database]
    with subprocess.Popen(
        command, cwd=databases.ROOT, env=environment | ON_THE_SERVER, stdout=subprocess.DEVNULL
    ) as process:
        written = "SELECT count(*) > 0 FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE d.datname = %s AND l.mode = 'AccessExclusiveLock'"
        with psycopg.connect(url("postgres"), autocommit=True) as server:
            wait_for(lambda: server.execute(written, [name]).fetchone() == (True,), seconds=30)
            process.kill()
            process.wait()
            gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = %s AND application_name = 'psql'"
            wait_for(lambda: server.execute(gone, [name]).fetchone() == (True,), seconds=30)
    assert ask(name, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_only_the_first_setting_is_left_out_and_no_members_words(tmp_path: Path) -> None:
    words = [b"SET transaction_timeout = 0;\n", b"COPY messages FROM stdin;\n", b"SET transaction_timeout = 0;\n"]
    with (tmp_path / "script").open("wb") as script:
        pg_tools._pass_on(iter(words), to=script)  # type: ignore[arg-type]
    assert (tmp_path / "script").read_bytes() == b"".join(words[1:])


def test_an_owner_outside_operations_is_told_what_to_ask_for(
    backed_up: Backup, fresh: Copy, at: At, world: str
) -> None:
    at(world)
    name, role = fresh("strangers"), f"stranger_{os.getpid()}"
    with psycopg.connect(url("postgres"), autocommit=True) as server:
        server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'theirs'".encode())
        try:
            server.execute(f"CREATE DATABASE {name} OWNER {role}".encode())
            into = build_url({**parse_url(url(name, "owner")), "user": role, "password": "theirs"})
            with pytest.raises(OperationError) as refusal:
                restores.restore_into(backed_up[0], into, say=quietly)
            assert f'GRANT "carecollective_ops" TO "{role}"' in str(refusal.value)
            assert str(refusal.value).count("\n") == 0
        finally:
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            server.execute(f"DROP ROLE {role}".encode())
