from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.conf import settings

from tests import databases


@pytest.mark.parametrize(
    ("environment", "stage", "v1_writes"),
    [("", "disabled", True), ("percentage:2.5", "percentage:2.5", True), ("enabled", "enabled", False)],
)
def test_migrations_reverse_and_the_environment_sets_the_first_stage(
    environment: str,
    stage: str,
    v1_writes: bool,
    committed_db: None,
    connect_as: Callable[..., "psycopg.Connection[Any]"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_MESSAGING_V2_ROLLOUT", environment)
    database = settings.DATABASES["default"]["NAME"]
    superuser = connect_as("superuser", autocommit=True)
    databases.migrate(settings.DATA_DIR, database, "rollout", "zero")
    assert tables(superuser) == {"waffle_flag", "waffle_flag_groups", "waffle_flag_users"}
    assert superuser.execute("SELECT count(*) FROM pg_proc WHERE proname LIKE 'rollout%'").fetchone() == (0,)

    databases.migrate(settings.DATA_DIR, database)
    assert tables(superuser) >= {"rollout_change", "rollout_flag", "rollout_flag_groups", "rollout_flag_users"}
    assert not {name for name in tables(superuser) if name.startswith("waffle_flag")}
    assert superuser.execute("SELECT name, stage, v1_writes, version FROM rollout_flag").fetchall() == [
        ("messaging_v2", stage, v1_writes, 1)
    ]
    recorded = superuser.execute("SELECT from_stage, to_stage, source, database_role FROM rollout_change").fetchall()
    assert recorded == [(None, stage, "environment", "carecollective_owner")]


def tables(connection: "psycopg.Connection[Any]") -> set[str]:
    found = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^(rollout|waffle_flag)'"
    )
    return {name for (name,) in found}
