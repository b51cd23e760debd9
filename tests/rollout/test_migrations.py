from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings

from tests import databases

STAGES = {"": ("disabled", True), "percentage:2.5": ("percentage:2.5", True), "enabled": ("enabled", False)}
Connect = Callable[..., "psycopg.Connection[Any]"]


@pytest.fixture
def unmigrated(committed_db: None, connect_as: Connect) -> Iterator[str]:
    """A database with every migration but the rollout's, which were taken back."""
    name = f"{settings.DATABASES['default']['NAME']}_unmigrated"
    databases.migrate(settings.DATA_DIR, settings.DATABASES["default"]["NAME"], "rollout", "zero")
    databases.recreate(settings.DATA_DIR, name, settings.DATABASES["default"]["NAME"])
    yield name
    databases.drop(settings.DATA_DIR, name)


def test_migrations_reverse_and_the_environment_sets_the_first_stage(
    unmigrated: str, connect_as: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    superuser = connect_as("superuser", autocommit=True)
    assert tables(superuser) == {"waffle_flag", "waffle_flag_groups", "waffle_flag_users"}
    assert superuser.execute("SELECT count(*) FROM pg_proc WHERE proname LIKE 'rollout%'").fetchone() == (0,)
    superuser.close()
    database = settings.DATABASES["default"]["NAME"]
    for environment, (stage, v1_writes) in STAGES.items():
        databases.recreate(settings.DATA_DIR, database, unmigrated)
        monkeypatch.setenv("TEST_MESSAGING_V2_ROLLOUT", environment)
        databases.migrate(settings.DATA_DIR, database)
        superuser = connect_as("superuser", autocommit=True)
        assert tables(superuser) >= {"rollout_change", "rollout_flag", "rollout_flag_groups", "rollout_flag_users"}
        assert not {name for name in tables(superuser) if name.startswith("waffle_flag")}
        assert superuser.execute("SELECT name, stage, v1_writes, version FROM rollout_flag").fetchall() == [
            ("messaging_v2", stage, v1_writes, 1)
        ]
        recorded = superuser.execute("SELECT from_stage, to_stage, source, database_role FROM rollout_change")
        assert recorded.fetchall() == [(None, stage, "environment", "carecollective_owner")]
        superuser.close()


def tables(connection: "psycopg.Connection[Any]") -> set[str]:
    found = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^(rollout|waffle_flag)'"
    )
    return {name for (name,) in found}
