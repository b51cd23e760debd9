"""Backup and restore on a server that the operator brought, whose owner has a name and rights of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from carecollective.postgres.dsn import build_url, connection_url, parse_url
from tests.postgres.conftest import Use, data_dir, home, use
from tests.postgres.support import PROJECT
from tests.sites import environment_for
from tests.waiting import wait_for

__all__ = ["data_dir", "home", "use"]

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
    pytest.mark.slow,
]
# An administrator's choice: BYPASSRLS to hand on, and later the right to make databases.
OPERATOR = "CREATE ROLE operator LOGIN PASSWORD 'theirs' CREATEROLE BYPASSRLS"


def test_a_backup_is_made_tried_and_restored_there(home: Path, data_dir: Path, use: Use) -> None:
    use()
    superuser_url = connection_url(data_dir, "superuser", "postgres")
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        for statement in (OPERATOR, "CREATE DATABASE care OWNER operator", "CREATE DATABASE spare OWNER operator"):
            superuser.execute(statement.encode())
        for role in ("web", "ops", "guard"):
            superuser.execute(f"ALTER ROLE carecollective_{role} RENAME TO the_embedded_servers_{role}".encode())
    place = parse_url(connection_url(data_dir, "owner", "care"))
    url = build_url({**place, "user": "operator", "password": "theirs"})
    environment = environment_for(
        home / "site", DATABASE_URL=url, DJANGO_SECRET_KEY="long enough and random enough for a test " * 2
    )

    def manage(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return done.stdout

    said = manage("create_roles")
    # Before PostgreSQL 16 an administrator has to make the role that bypasses policies.
    with psycopg.connect(superuser_url.replace("/postgres?", "/care?"), autocommit=True) as superuser:
        for statement in re.findall(r"^    (.*);$", said, re.MULTILINE):
            superuser.execute(statement.encode())
    said = manage("create_roles")
    assert "administrator" not in said, said
    manage("migrate", "--verbosity", "0")
    assert "restore" in manage("backup")
    assert os.listdir(home / "site" / "backups")
    said = manage("restore", "latest", "--verify")
    assert "The role operator may not create databases" in said, said
    said = manage("restore", "latest", "--into", url.replace("/care?", "/spare?"))
    assert "\nEvery checksum" in said, said
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute("ALTER ROLE operator CREATEDB")
    said = manage("restore", "latest", "--verify")
    assert "\nEvery checksum" in said, said
    said = manage("verify_messaging")
    assert re.search("^All .* checks pass", said, re.MULTILINE), said
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute("ALTER SYSTEM SET lo_compat_privileges = on")
        superuser.execute("SELECT pg_reload_conf()")
        wait_for(lambda: superuser.execute("SHOW lo_compat_privileges").fetchone() == ("on",), seconds=5)
    said = manage("verify_messaging")
    assert "WRONG  Settings, the server: lo_compat_privileges" in said, said
