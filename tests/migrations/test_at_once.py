"""Several hosts start for the first time at once: one migrates, the others wait."""

import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from django.conf import settings

from carecollective.core.management.commands.migrate import WAITING
from carecollective.postgres import advisory_locks
from tests import databases
from tests.waiting import wait_for

# One app of two migrations, so that it is the waiting that takes the time.
APP = "contenttypes"
HOSTS = 3


@pytest.fixture
def empty_database(template_database: str) -> Iterator[str]:
    name = f"test_{os.getpid()}_at_once"
    databases.recreate(settings.DATA_DIR, name, "template1")
    yield name
    databases.drop(settings.DATA_DIR, name)


def start(database: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "manage.py", "migrate", APP, "--skip-checks"],
        cwd=databases.ROOT,
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "tests.scratch_settings",
            "DATABASE_ROLE": "owner",
            "TEST_DATABASE": database,
            "TEST_DATA_DIR": str(settings.DATA_DIR),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_one_migrates_and_the_others_wait(empty_database: str) -> None:
    url = databases.superuser_url(settings.DATA_DIR, empty_database)
    with psycopg.connect(url) as first, psycopg.connect(url, autocommit=True) as onlooker:
        first.execute("SELECT pg_advisory_xact_lock(%s)", [advisory_locks.MIGRATIONS])
        hosts = [start(empty_database) for _host in range(HOSTS)]
        # They ask again and again: a statement that waits would hold up an index that is built concurrently.
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND state = 'idle in transaction' AND datname = %s"
        asked = ["SELECT pg_try_advisory_xact_lock%", empty_database]
        wait_for(lambda: onlooker.execute(waiting, asked).fetchone() == (HOSTS,), seconds=60)
        assert onlooker.execute("SELECT to_regclass('django_migrations')").fetchone() == (None,)
        first.rollback()
        said = [host.communicate(timeout=90)[0] for host in hosts]
        assert [host.returncode for host in hosts] == [0] * HOSTS, said
        applied = onlooker.execute("SELECT name, count(*) FROM django_migrations GROUP BY 1 ORDER BY 1").fetchall()
    assert [count for _name, count in applied] == [1, 1]
    assert all(WAITING in one for one in said)
    assert sum("OK" in one for one in said) == 1
