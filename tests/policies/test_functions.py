"""What runs on the owner's or the operations' rights does nothing for a caller who names no acting member."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.conf import settings

from carecollective.postgres.dsn import connection_url
from tests import databases
from tests.policies.probe import DENIED

Connect = Callable[..., psycopg.Connection[Any]]

# Called by the worker and the guard, in nobody's name. Each says why nobody is harmed by that.
NEEDS_NO_ACTOR = {
    "privacy_exports_under_way": "only which exports wait; each is made in its member's name",
    "privacy_prune_exports": "only what is older than the owner's setting",
    "rollout_prune_events": "only what is older than the owner's setting",
    "rollout_is_proven": "only whether a proof that the caller shows is one",
    "rollout_count_conversations": "only numbers",
    "rollout_broken_conversations": "only numbers",
    "rollout_testers": "only ids, of a group that the web role may read anyway",
}
CALLABLE = """
SELECT p.proname, p.proargtypes::regtype[]::text[], r.rolname FROM pg_proc p, pg_roles r
WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef AND p.prorettype <> 'trigger'::regtype
  AND r.rolname IN ('carecollective_web', 'carecollective_guard') AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
ORDER BY 1, 3
"""


@pytest.mark.parametrize("arguments", ["nothing", "an existing row"])
def test_every_privileged_function_refuses_a_missing_actor(worlds: dict[str, str], arguments: str) -> None:
    name = worlds["taken over"]
    harmless, seen = [], set()
    with psycopg.connect(databases.superuser_url(settings.DATA_DIR, name), autocommit=True) as superuser:
        functions = superuser.execute(CALLABLE).fetchall()
        row = superuser.execute("SELECT id FROM moderation_report LIMIT 1").fetchone()
    assert len(functions) >= 10
    for function, types, role in functions:
        keys = ["NULL" if arguments == "nothing" else _key(kind, row) for kind in types]
        seen.add(function)
        key = "web" if role == "carecollective_web" else "guard"
        if function in NEEDS_NO_ACTOR:
            continue
        with psycopg.connect(connection_url(settings.DATA_DIR, key, name), autocommit=True) as session:
            if gave := answer(session, f"SELECT * FROM public.{function}({', '.join(keys)}) AS found"):
                harmless.append((function, role, gave))
    assert harmless == []
    assert set(NEEDS_NO_ACTOR) <= seen


def _key(kind: str, row: Any) -> str:
    """Return the key of an existing row, or the first value of another type."""
    return {"bigint": "1", "boolean": "false"}.get(kind, f"'{row[0]}'")


def answer(session: "psycopg.Connection[Any]", call: str) -> str:
    """Return what the call gave, or nothing where it was refused or gave no row, no text and no yes."""
    try:
        with session.transaction(force_rollback=True):
            rows = session.execute(call.encode()).fetchall()
    except psycopg.Error as refusal:
        return "" if refusal.sqlstate == DENIED else str(refusal)
    return "" if all(value in (None, False) for row in rows for value in row) else str(rows)


def test_no_function_that_deletes_takes_a_limit_from_its_caller(connect_as: Connect) -> None:
    query = (
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
        " AND prosrc ~* 'delete from' AND proargtypes::oid[] && ARRAY['int4'::regtype, 'int8'::regtype,"
        " 'interval'::regtype, 'timestamptz'::regtype, 'numeric'::regtype]::oid[]"
    )
    assert connect_as("superuser").execute(query.encode()).fetchall() == []


def test_a_callers_setting_does_not_shorten_retention(connect_as: Connect, settings: Any) -> None:
    settings.EVENTS_RETENTION_DAYS = settings.EXPORTS_KEPT_DAYS = 1
    kept = connect_as("superuser").execute("SELECT kind, days FROM core_retentionperiod ORDER BY kind").fetchall()
    assert kept == [("events", 30), ("exports", 7)]


@pytest.mark.parametrize("role", ["web", "guard", "ops"])
def test_our_roles_make_no_temporary_or_large_objects(connect_as: Connect, role: str) -> None:
    held = connect_as(role).execute(
        "SELECT has_database_privilege(current_database(), 'TEMP'), has_database_privilege(current_database(), 'CREATE'),"
        " has_schema_privilege('public', 'CREATE'), has_function_privilege('lo_from_bytea(oid, bytea)', 'EXECUTE')"
    )
    assert held.fetchone() == (False, False, False, False)
