"""Legacy databases on the tests' own server: taken over by the command once, and copied for each test."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import argon2
import bcrypt
import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections

from carecollective.postgres import roles
from carecollective.postgres.dsn import connection_url
from carecollective.takeover.legacy import SAMPLE
from tests import databases

LONG_PASSWORD = "legacy-" + "ä" * 60  # 127 bytes, of which the legacy system used 72
PEOPLE_OF_EVERY_KIND = """
INSERT INTO auth.users (id, email, encrypted_password, created_at, email_confirmed_at) VALUES
  ('00000000-0000-4000-8000-000000000001', 'Zora@Example.org', %(hash)s, '2025-01-02', '2025-01-02'),
  ('00000000-0000-4000-8000-000000000002', 'zora@example.org', %(hash)s, '2025-01-01', '2025-01-01'),
  ('00000000-0000-4000-8000-000000000003', 'nobody@example.org', %(hash)s, '2025-01-01', '2025-01-01'),
  ('00000000-0000-4000-8000-000000000005', 'LONG@Example.org', %(long)s, '2025-01-01', '2025-01-01'),
  ('00000000-0000-4000-8000-000000000006', 'unset@example.org', NULL, '2025-01-01', '2025-01-01'),
  ('00000000-0000-4000-8000-000000000007', '', %(hash)s, '2025-01-01', '2025-01-01'),
  ('00000000-0000-4000-8000-000000000008', 'odd@example.org', 'sha1$not-of-ours', '2025-01-01', '2025-01-01'),
  ('00000000-0000-4000-8000-000000000009', 'argon@example.org', %(argon)s, '2025-01-01', '2025-01-01');
INSERT INTO profiles (id, name, verification_status) VALUES
  ('00000000-0000-4000-8000-000000000001', 'The younger Zora', 'approved'),
  ('00000000-0000-4000-8000-000000000002', 'The older Zora', 'approved'),
  ('00000000-0000-4000-8000-000000000004', E'Robert''); DROP TABLE "x"; -- <i>Bobby</i> 😊', 'approved'),
  ('00000000-0000-4000-8000-000000000005', 'Lena', 'approved'),
  ('00000000-0000-4000-8000-000000000006', 'Una', 'approved'),
  ('00000000-0000-4000-8000-000000000007', 'Empty', 'approved'),
  ('00000000-0000-4000-8000-000000000008', 'Odd', 'approved'),
  ('00000000-0000-4000-8000-000000000009', 'Argon', 'approved');
"""


@pytest.fixture(scope="session")
def make_database(template_database: str) -> Iterator[Callable[..., str]]:
    """Make a database on the server: `make_database("name", sample=True)`; all are dropped at the end."""
    made: list[str] = []

    def make(name: str, *, template: str | None = None, sample: bool = False) -> str:
        full_name = f"test_{os.getpid()}_{name}"
        made.append(full_name)
        if template:
            databases.recreate(settings.DATA_DIR, full_name, template)
            return full_name
        databases.drop(settings.DATA_DIR, full_name)
        with psycopg.connect(databases.superuser_url(settings.DATA_DIR), autocommit=True) as server:
            roles.create_database(server, database=full_name, owner=databases.OWNER)
        with psycopg.connect(databases.superuser_url(settings.DATA_DIR, full_name), autocommit=True) as server:
            roles.grant_database(server, database=full_name, owner=databases.OWNER)
        if sample:
            restore(full_name)
        return full_name

    yield make
    connections.close_all()
    for name in made:
        databases.drop(settings.DATA_DIR, name)


def restore(database: str) -> None:
    """As the owner, load the legacy system's files, and members of kinds that a real system also has."""
    hashed = bcrypt.hashpw(b"legacy-zora", bcrypt.gensalt(4, b"2a")).decode()
    long = bcrypt.hashpw(LONG_PASSWORD.encode()[:72], bcrypt.gensalt(4, b"2a")).decode()
    argon = argon2.PasswordHasher(time_cost=1, memory_cost=64).hash("legacy-argon")
    with psycopg.connect(connection_url(settings.DATA_DIR, "owner", database), autocommit=True) as owner:
        for name in ("schema.sql", "data.sql"):
            owner.execute((SAMPLE / name).read_text(encoding="utf-8"))
        for statement in PEOPLE_OF_EVERY_KIND.split(";\n"):
            owner.execute(statement, {"hash": hashed, "long": long, "argon": argon} if "%(" in statement else None)


@pytest.fixture(scope="session")
def legacy_template(make_database: Callable[..., str]) -> str:
    """A restored legacy database that nobody has taken over."""
    return make_database("legacy", sample=True)


@pytest.fixture(scope="session")
def adopted_template(make_database: Callable[..., str], legacy_template: str) -> tuple[str, str]:
    """The same taken over, and what the command said."""
    name = make_database("adopted", template=legacy_template)
    done = databases.manage(settings.DATA_DIR, name, "adopt_legacy", "--superuser", "Amina@Example.org")
    return name, done.stdout


@pytest.fixture
def legacy(make_database: Callable[..., str], legacy_template: str) -> str:
    """A copy of the restored legacy database, for one test."""
    return make_database("legacy_copy", template=legacy_template)


@pytest.fixture
def adopted(
    make_database: Callable[..., str], adopted_template: tuple[str, str], django_db_setup: None, django_db_blocker: Any
) -> Iterator[str]:
    """A copy of the database taken over, for one test that acts in it as the web role."""
    name = make_database("adopted_copy", template=adopted_template[0])
    before = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict["NAME"] = name
    with django_db_blocker.unblock():
        yield name
        connections.close_all()
    connection.settings_dict.update(before)


@pytest.fixture
def as_superuser() -> Iterator[Callable[[str], psycopg.Connection[Any]]]:
    opened: list[psycopg.Connection[Any]] = []

    def connect(database: str) -> psycopg.Connection[Any]:
        opened.append(psycopg.connect(databases.superuser_url(settings.DATA_DIR, database), autocommit=True))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


@pytest.fixture
def contents(as_superuser: Callable[[str], psycopg.Connection[Any]]) -> Callable[[str], dict[str, str]]:
    """Return a checksum of every table of a database."""

    def read(database: str) -> dict[str, str]:
        server = as_superuser(database)
        tables = server.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('public', 'auth') ORDER BY 1"
        ).fetchall()
        checksums = " UNION ALL ".join(
            f"SELECT '{name}', md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {name} t"
            for (name,) in tables
        )
        return dict(server.execute(checksums).fetchall())

    return read
