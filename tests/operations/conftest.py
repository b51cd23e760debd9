"""Databases with committed conversations of both versions, for the operations to work on."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from carecollective.operations.backups.dumps import make_backup
from carecollective.operations.backups.manifest import Manifest
from carecollective.postgres.dsn import connection_url, database_settings
from tests import databases
from tests.policies.world import populate

Copy = Callable[[str], str]


def url(database: str, role: str = "superuser") -> str:
    return connection_url(settings.DATA_DIR, role, database)


def ask(database: str, query: str, role: str = "superuser") -> Any:
    with psycopg.connect(url(database, role), autocommit=True) as session:
        cursor = session.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


@pytest.fixture(scope="session")
def world(template_database: str) -> Iterator[str]:
    """A database with people, requests and conversations; nobody changes it."""
    name = f"test_{os.getpid()}_world"
    databases.recreate(settings.DATA_DIR, name, template_database)
    with psycopg.connect(url(name), autocommit=True) as superuser:
        populate(superuser)
        # The probes of the policies need it; a site takes it away.
        superuser.execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC".encode())
    yield name
    databases.drop(settings.DATA_DIR, name)


@pytest.fixture
def copy(world: str) -> Iterator[Copy]:
    """Make a copy of the world for one test to change: `copy("dropped")`."""
    made: list[str] = []

    def make(name: str) -> str:
        made.append(f"test_{os.getpid()}_{name}")
        databases.recreate(settings.DATA_DIR, made[-1], world)
        ask(made[-1], "DELETE FROM operations_restoretrial")  # other tests restore from the world, which records it
        return made[-1]

    yield make
    for name in made:
        databases.drop(settings.DATA_DIR, name)


@pytest.fixture
def fresh() -> Iterator[Copy]:
    """Name a database that does not exist yet, and drop it afterwards."""
    named: list[str] = []

    def name_it(name: str) -> str:
        named.append(f"test_{os.getpid()}_{name}")
        return named[-1]

    yield name_it
    for name in named:
        databases.drop(settings.DATA_DIR, name)


@pytest.fixture
def at() -> Iterator[Callable[[str], None]]:
    """Point the commands, and Django's own connection, at a database: `at(world)`."""
    before = dict(connection.settings_dict)

    def point(database: str) -> None:
        connection.settings_dict["NAME"] = database

    yield point
    connection.settings_dict.update(before)


@contextmanager
def connected_as(role: str, database: str) -> Iterator[None]:
    """Let Django's connection be that role's to that database: what a process of the site's has."""
    before = dict(connection.settings_dict)
    connection.close()
    theirs = database_settings(connection_url(settings.DATA_DIR, role, database))
    connection.settings_dict.update(
        NAME=database, USER=theirs["USER"], PASSWORD=theirs["PASSWORD"], OPTIONS={"server_side_binding": True}
    )
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)


@pytest.fixture
def as_owner(copy: Copy, django_db_blocker: Any) -> Iterator[str]:
    """Act as the owner in a copy of the world, as `drop_v2` and `serve` do: policies hide every row from it."""
    name = copy("owned")
    with django_db_blocker.unblock(), connected_as("owner", name):
        yield name


Command = Callable[..., str]


@pytest.fixture
def run_as(django_db_blocker: Any) -> Command:
    """Run a command in a role on a database: `run_as("web", name, "rollout", "status")`. Raises CommandError.

    What it wrote is returned, or is the second argument of the error. A process of its own would take a second more.
    """

    def run(role: str, database: str, *command: str) -> str:
        said = StringIO()
        with django_db_blocker.unblock(), connected_as(role, database):
            try:
                call_command(*command, stdout=said, stderr=said)
            except CommandError as refused:
                refused.args = (*refused.args, said.getvalue())
                raise
        return said.getvalue()

    return run


@pytest.fixture(scope="session")
def backed_up(world: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """A backup of the world, made once; a test that damages it copies it first."""
    before = connection.settings_dict["NAME"]
    connection.settings_dict["NAME"] = world
    try:
        return make_backup(tmp_path_factory.mktemp("backups"), say=lambda line: None)
    finally:
        connection.settings_dict["NAME"] = before
