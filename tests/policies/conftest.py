import os
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings

from carecollective.postgres.dsn import connection_url
from tests import databases
from tests.access.world import World, make_world
from tests.migrations.legacy import prepare_taken_over_template
from tests.policies.world import populate

ConnectTo = Callable[..., psycopg.Connection[Any]]


@pytest.fixture(scope="session")
def worlds(template_database: str) -> Iterator[dict[str, str]]:
    """The world's rows in two databases: one born empty, one taken over from the legacy system with policies of its own."""
    templates = {"born empty": template_database, "taken over": prepare_taken_over_template(settings.DATA_DIR)}
    names = {}
    for birth, template in templates.items():
        name = names[birth] = f"test_{os.getpid()}_{birth.replace(' ', '_')}"
        databases.recreate(settings.DATA_DIR, name, template)
        with psycopg.connect(databases.superuser_url(settings.DATA_DIR, name), autocommit=True) as superuser:
            populate(superuser)
    yield names
    for name in names.values():
        databases.drop(settings.DATA_DIR, name)


@pytest.fixture
def connect_to(worlds: dict[str, str]) -> Iterator[ConnectTo]:
    """Connect as a role to one of the worlds."""
    opened: list[psycopg.Connection[Any]] = []

    def connect(birth: str, role: str = "web") -> psycopg.Connection[Any]:
        url = connection_url(settings.DATA_DIR, role, worlds[birth])
        opened.append(psycopg.connect(url, autocommit=True))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def community(db: None, stage: Callable[..., None], settings: Any) -> World:
    """The people, requests and conversations of the access tests, made as the site would."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    stage("enabled", v1_writes=True)
    return make_world()
