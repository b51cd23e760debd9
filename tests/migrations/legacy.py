"""A database as the legacy system left it: its sample restored, by the owner, before any migration of ours."""

import hashlib
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from carecollective.postgres import roles
from carecollective.postgres.dsn import connection_url
from carecollective.takeover.legacy import SAMPLE
from tests import databases


def restore(data_dir: Path, database: str) -> None:
    """Make the database anew with the legacy sample in it and nothing else."""
    databases.drop(data_dir, database)
    with psycopg.connect(databases.superuser_url(data_dir), autocommit=True) as server:
        roles.create_database(server, database=database, owner=databases.OWNER)
    with psycopg.connect(databases.superuser_url(data_dir, database), autocommit=True) as connection:
        roles.grant_database(connection, database=database, owner=databases.OWNER)
    with psycopg.connect(connection_url(data_dir, "owner", database), autocommit=True) as owner:
        for name in ("schema.sql", "data.sql"):
            owner.execute((SAMPLE / name).read_bytes())


def prepare_taken_over_template(data_dir: Path) -> str:
    """Return the name of a restored database with every migration applied, making it where no earlier run has left it."""
    born_empty = databases.prepare_template(data_dir)
    digest = hashlib.sha256(born_empty.encode())
    for path in sorted(SAMPLE.glob("*.sql")):
        digest.update(path.read_bytes())
    name = f"template_{digest.hexdigest()[:16]}"
    with (
        databases._one_at_a_time(data_dir),
        psycopg.connect(databases.superuser_url(data_dir), autocommit=True) as server,
    ):
        _drop_what_dead_runs_left(server)
        if not _is_template(server, name):
            restore(data_dir, name)
            databases.migrate(data_dir, name)
            server.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(sql.Identifier(name)))
    return name


def _is_template(server: psycopg.Connection[Any], name: str) -> bool:
    found = server.execute("SELECT datistemplate FROM pg_database WHERE datname = %s", [name]).fetchone()
    return bool(found and found[0])


def _drop_what_dead_runs_left(server: psycopg.Connection[Any]) -> None:
    for (name,) in server.execute("SELECT datname FROM pg_database WHERE datname ~ '^test_[0-9]+_[a-z]'").fetchall():
        if not Path("/proc", name.split("_")[1]).exists():
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
