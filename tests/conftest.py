"""What every test may ask for. `db` tests roll back; `committed_db` tests commit, and get a fresh copy afterwards."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connection, connections
from django.test import Client
from knox.models import AuthToken
from rest_framework.test import APIClient

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from carecollective.postgres.dsn import connection_url, database_settings
from tests import databases
from tests.factories import HelpRequestFactory, UserFactory
from tests.sessions import give_session

pytest_plugins = [
    *("tests.browser", "tests.figures", "tests.groups", "tests.operators", "tests.readiness", "tests.sites"),
    "tests.time_travel",
]
# The processes that tests start, some hundreds, keep what they compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Wait for what a guard does in the worker's place, before the test's database goes."""
    for thread in threading.enumerate():
        if thread.name.startswith("in the worker's place"):
            thread.join(20)


@pytest.fixture(scope="session")
def template_database() -> str:
    return databases.prepare_template(django_settings.DATA_DIR)


@pytest.fixture(scope="session")
def django_db_setup(template_database: str) -> Iterator[None]:
    """One database for each worker of the run, acted on as the web role."""
    parameters = connections["default"].settings_dict
    superuser = database_settings(databases.superuser_url(django_settings.DATA_DIR, parameters["NAME"]))
    parameters |= {"USER": superuser["USER"], "PASSWORD": superuser["PASSWORD"]}
    databases.recreate_guarded(
        django_settings.DATA_DIR, django_settings.DATABASES["default"]["NAME"], template_database
    )
    yield
    connections.close_all()
    databases.drop_guarded(django_settings.DATA_DIR, parameters["NAME"])


@pytest.fixture
def committed_db(django_db_setup: None, django_db_blocker: Any, template_database: str) -> Iterator[None]:
    """A database that other threads, processes and browsers see too; thrown away afterwards."""
    with django_db_blocker.unblock():
        _see_that_nobody_committed()
        yield
        connections.close_all()
    shutil.rmtree(django_settings.BACKUP_DIR, ignore_errors=True)
    databases.recreate_guarded(
        django_settings.DATA_DIR, django_settings.DATABASES["default"]["NAME"], template_database
    )


def _see_that_nobody_committed() -> None:
    """Fail if a test committed that did not ask for `committed_db`: what it left would fail another one, some day."""
    database = databases.superuser_url(django_settings.DATA_DIR, django_settings.DATABASES["default"]["NAME"])
    # By a session of its own: the test's may be in a transaction, which would keep its locks.
    with psycopg.connect(database) as session:
        left = session.execute(
            "SELECT (SELECT count(*) FROM profiles), (SELECT count(*) FROM rollout_change WHERE from_stage > '')"
        )
        assert left.fetchone() == (0, 0), "An earlier test committed into the database that all share."


@pytest.fixture(autouse=True)
def events_within_the_test(request: pytest.FixtureRequest, settings: Any) -> None:
    """Keep events in memory, unless the database that they would be written to goes with the test."""
    if "committed_db" not in request.fixturenames:
        settings.ROLLOUT_EVENTS = "memory"


@pytest.fixture
def beyond_policies() -> Callable[[], AbstractContextManager[Any]]:
    """Step out of the web role on the test's own connection: `with beyond_policies() as cursor`."""

    @contextmanager
    def step_out() -> Iterator[Any]:
        with connection.cursor() as cursor:
            cursor.execute("SET ROLE NONE")
            try:
                yield cursor
            finally:
                if not connection.needs_rollback:
                    cursor.execute("SET ROLE carecollective_web")

    return step_out


@pytest.fixture
def connect_as(django_db_setup: None) -> Iterator[Callable[..., psycopg.Connection[Any]]]:
    """Open a real connection of a role's own to the test's database: web, owner, ops, guard or superuser."""
    opened: list[psycopg.Connection[Any]] = []

    def connect(role: str = "web", **options: Any) -> psycopg.Connection[Any]:
        url = connection_url(django_settings.DATA_DIR, role, django_settings.DATABASES["default"]["NAME"])
        opened.append(psycopg.connect(url, **options))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


@pytest.fixture
def member() -> Callable[..., User]:
    """Make an approved member: `member(name="Ada")`."""
    return UserFactory.create


@pytest.fixture
def staff() -> Callable[..., User]:
    """Make a staff member who may do everything in the control room."""

    def make(**fields: Any) -> User:
        return UserFactory.create(**({"is_staff": True, "is_superuser": True} | fields))

    return make


@pytest.fixture
def help_request() -> Callable[..., HelpRequest]:
    """Make an open request: `help_request(user=…, title=…)`."""
    return HelpRequestFactory.create


@pytest.fixture
def stage() -> Callable[[str], None]:
    """Put the rollout in a stage: `stage("enabled")`. V1 writes follow, as the services would have it."""

    def put(name: str, *, v1_writes: bool | None = None) -> None:
        writes = name != "enabled" if v1_writes is None else v1_writes
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE rollout_flag SET stage = %s, v1_writes = %s WHERE name = 'messaging_v2'", [name, writes]
            )

    return put


@pytest.fixture
def signed_in() -> Callable[[User], Client]:
    """Return a browser-like client with the member's session."""

    def sign_in(user: User, **options: Any) -> Client:
        client = Client(**options)
        give_session(client, user)
        return client

    return sign_in


@pytest.fixture
def api_client() -> Callable[..., APIClient]:
    """Return an API client with the member's token, or without any."""

    def make(user: User | None = None) -> APIClient:
        client = APIClient()
        if user is not None:
            _token, key = AuthToken.objects.create(user)
            client.credentials(HTTP_AUTHORIZATION=f"Token {key}")
        return client

    return make
