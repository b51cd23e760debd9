"""Databases of the tests' own on the embedded server: migrated once, copied for every worker and after every commit."""

import fcntl
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from carecollective.postgres import roles
from carecollective.postgres.dsn import ROLE_NAMES, connection_url
from carecollective.postgres.embedded.server import ensure_running

ROOT = Path(__file__).resolve().parent.parent
KEPT_TEMPLATES = 10
OWNER = ROLE_NAMES["owner"]

_spares: dict[str, threading.Thread] = {}


def superuser_url(data_dir: Path, database: str = "postgres") -> str:
    return connection_url(data_dir, "superuser", database)


def prepare_template(data_dir: Path) -> str:
    """Return the name of a database with every migration applied, making it where no earlier run has left it."""
    ensure_running(data_dir)
    name = f"template_{_fingerprint()}"
    with _one_at_a_time(data_dir), psycopg.connect(superuser_url(data_dir), autocommit=True) as server:
        # What these databases hold need not outlive the machine. Tests of what must have servers of their own.
        server.execute("ALTER SYSTEM SET fsync = off")
        server.execute("SELECT pg_reload_conf()")
        if server.execute("SELECT 1 FROM pg_database WHERE datname = %s AND datistemplate", [name]).fetchone():
            return name
        _drop_what_earlier_runs_left(server)
        # A run that was cut off may have left it half made.
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        roles.create_database(server, database=name, owner=OWNER)
        migrate(data_dir, name)
        server.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(sql.Identifier(name)))
    return name


def migrate(data_dir: Path, database: str, *arguments: str) -> None:
    """Run `migrate` as the owner on a database of the tests', in a process of its own."""
    with psycopg.connect(superuser_url(data_dir, database), autocommit=True) as connection:
        roles.grant_database(connection, database=database, owner=OWNER)
    manage(data_dir, database, "migrate", "--skip-checks", "--verbosity", "0", *arguments)


def manage(data_dir: Path, database: str, *arguments: str, role: str = "owner") -> "subprocess.CompletedProcess[str]":
    """Run a management command on a database of the tests'; raises CalledProcessError with its output when it fails."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.scratch_settings",
        "DATABASE_ROLE": role,
        "TEST_DATABASE": database,
        "TEST_DATA_DIR": str(data_dir),
    }
    try:
        return subprocess.run(
            [sys.executable, "-W", "ignore", "manage.py", *arguments],
            cwd=ROOT,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
    except subprocess.CalledProcessError as failure:
        failure.add_note(failure.stdout + failure.stderr)
        raise


def recreate(data_dir: Path, database: str, template: str) -> None:
    """Replace a database by a fresh copy of the template, whoever is connected to it."""
    with psycopg.connect(superuser_url(data_dir), autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
        # A database with sessions is not copied: PostgreSQL waits five seconds for them to end, then fails.
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [template])
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(database), sql.Identifier(template), sql.Identifier(OWNER)
            )
        )
    with psycopg.connect(superuser_url(data_dir, database), autocommit=True) as connection:
        roles.grant_database(connection, database=database, owner=OWNER)


def recreate_guarded(data_dir: Path, database: str, template: str) -> None:
    """Copy the template, and let a guard have watched it for ever: without one, V2 would be off in every test.

    The next copy is made while the next test runs, for most of which only wait: this one is given its name.
    """
    spare = f"{database}_spare"
    making = _spares.pop(database, None)
    if making is None:
        _make_guarded(data_dir, spare, template)
    else:
        making.join()
    with psycopg.connect(superuser_url(data_dir), autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
        server.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(spare), sql.Identifier(database))
        )
    _spares[database] = threading.Thread(target=_make_guarded, args=(data_dir, spare, template), name="next database")
    _spares[database].start()


def drop_guarded(data_dir: Path, database: str) -> None:
    """Drop the database and the next copy."""
    making = _spares.pop(database, None)
    if making is not None:
        making.join()
    drop(data_dir, database)
    drop(data_dir, f"{database}_spare")


def _make_guarded(data_dir: Path, database: str, template: str) -> None:
    recreate(data_dir, database, template)
    with psycopg.connect(superuser_url(data_dir, database)) as superuser:
        superuser.execute("INSERT INTO rollout_guard_lease (id, holder, renewed_at) VALUES (1, 'tests', 'infinity')")


def drop(data_dir: Path, database: str) -> None:
    with psycopg.connect(superuser_url(data_dir), autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def _drop_what_earlier_runs_left(server: psycopg.Connection[Any]) -> None:
    """Drop all but the newest templates, and the databases of processes that are gone."""
    templates = server.execute(
        "SELECT datname FROM pg_database WHERE datname ~ '^template_[0-9a-f]{16}$' ORDER BY oid DESC"
    )
    stale = [name for (name,) in templates.fetchall()[KEPT_TEMPLATES:]]
    for (name,) in server.execute(
        "SELECT datname FROM pg_database WHERE datname ~ '^test_[0-9]+(_spare)?$'"
    ).fetchall():
        if not Path(f"/proc/{name.removeprefix('test_').removesuffix('_spare')}").exists():
            stale.append(name)
    for name in stale:
        server.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(name)))
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _fingerprint() -> str:
    digest = hashlib.sha256()
    patterns = ("migrations/*.py", "sql/*.sql")
    files = [path for pattern in patterns for path in (*ROOT.glob(f"*/{pattern}"), *ROOT.glob(f"*/*/{pattern}"))]
    files.append(ROOT / "requirements.txt")
    for path in sorted([*files, *(ROOT / "carecollective/postgres").glob("*.py"), *ROOT.glob("*/models.py")]):
        if ".venv" not in path.parts:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _one_at_a_time(data_dir: Path) -> Iterator[Any]:
    with (data_dir / "template.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield held
