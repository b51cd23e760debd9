"""Whatever a legacy policy lets through, our web role sees and writes its member's own rows and no others."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from django.conf import settings

from tests import databases
from tests.policies.mutants import Mutant, catch
from tests.policies.probe import DENIED, Outcome, Probe, observe
from tests.policies.probes import PROBES
from tests.policies.probes_of_v1 import TABLES, joining, opening, sending
from tests.policies.probes_of_v2 import STRANGERS

COMMANDS = ("SELECT", "INSERT", "UPDATE", "DELETE", "ALL")
CLAUSES = {"SELECT": "USING (true)", "INSERT": "WITH CHECK (true)", "DELETE": "USING (true)"}
# A column that no rule mentions, so that only the policies decide.
UPDATES = {
    "conversations": "UPDATE conversations SET title = 'Changed'",
    "conversation_participants": "UPDATE conversation_participants SET joined_at = now()",
    "messages": "UPDATE messages SET is_flagged = true",
}
KEYS = {"conversations": "id", "conversation_participants": "conversation_id", "messages": "conversation_id"}
FORGED = {
    "conversations": (opening(), opening(creator="requester"), opening("closed", "outsider")),
    "conversation_participants": (joining("active_v1", "outsider"), joining("orphan_v1", "requester")),
    "messages": (sending(), sending(sender="outsider"), sending("others_v1", "other_helper")),
}


def legacy_policy(table: str, command: str) -> str:
    clause = CLAUSES.get(command, "USING (true) WITH CHECK (true)")
    return f"CREATE POLICY anybody ON {table} FOR {command} {clause};"


def with_rights(table: str, command: str) -> str:
    """Let the policies alone decide: the grants would refuse most of it."""
    seen = legacy_policy(table, command) + f"GRANT ALL ON {table} TO carecollective_web;"
    # What changes or deletes must be seen first, so the reading is let through as well.
    return seen if command in ("SELECT", "ALL") else seen + legacy_policy(table, "SELECT").replace("anybody", "reader")


def attempts(table: str) -> Iterator[Probe]:
    for actor, who in STRANGERS:
        expected: dict[str, Outcome] = {
            f"SELECT FROM {table}": 0,
            f"SELECT FROM {table} FOR UPDATE": 0,
            UPDATES[table]: 0,
            f"DELETE FROM {table}": 0,
            f"UPDATE {table} SET {KEYS[table]} = {KEYS[table]} RETURNING *": 0,
        }
        for statement, outcome in expected.items():
            yield Probe(f"{who}: {statement}", statement, outcome, actor)
        for statement in FORGED[table]:
            yield Probe(f"{who}: {statement}", statement, DENIED, actor)
    others = f"FROM {table} WHERE {KEYS[table]} IN (%(others_v1)s, %(left_v1)s, %(orphan_v1)s)"
    yield Probe("a helper reads nothing of others'", f"SELECT {others}", 0, "helper")
    yield Probe("a helper deletes nothing of others'", f"DELETE {others}", 0, "helper")
    yield Probe("who left reads nothing more", f"SELECT {others}", 0, "leaver")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("table", TABLES)
def test_nothing_is_seen_or_written_past_the_gate(superuser: Any, table: str, command: str) -> None:
    with superuser.transaction(force_rollback=True):
        superuser.execute(with_rights(table, command))
        wrong = [
            (probe.proves, found)
            for probe in attempts(table)
            if (found := observe(superuser, probe, impersonate=True)) != probe.expected
        ]
    assert wrong == []


def test_the_attempts_above_would_succeed_without_the_gate(superuser: Any) -> None:
    for table in TABLES:
        with superuser.transaction(force_rollback=True):
            superuser.execute(with_rights(table, "ALL") + f"DROP POLICY carecollective_gate ON {table};")
            unnoticed = [
                probe.proves
                for probe in attempts(table)
                if observe(superuser, probe, impersonate=True) == probe.expected
            ]
        assert unnoticed == [], table


FORBIDDEN = (
    "CREATE SCHEMA hidden; CREATE TABLE hidden.list (id uuid);"
    "CREATE FUNCTION hidden.ask() RETURNS boolean LANGUAGE sql AS 'SELECT true';"
    "CREATE FUNCTION hidden.fail() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'nobody may ask'; END $$;"
    "REVOKE EXECUTE ON FUNCTION hidden.ask(), hidden.fail() FROM PUBLIC;"
)
EVERYTHING_TRUE = "".join(legacy_policy(table, "ALL") for table in TABLES)


def test_every_probe_holds_when_every_legacy_policy_is_true(superuser: Any) -> None:
    assert noticed(superuser, EVERYTHING_TRUE) == []


@pytest.mark.parametrize(
    "policy",
    [
        # Each reads a table on which our checks on writing once asked this one.
        "CREATE POLICY writers ON conversations FOR SELECT USING (id IN (SELECT m.conversation_id FROM messages m))",
        "ALTER TABLE help_requests ENABLE ROW LEVEL SECURITY; CREATE POLICY everybody ON help_requests USING"
        " (id IN (SELECT c.help_request_id FROM conversations c) OR true)",
        # Each asks what our role may not: a function, a table, a schema; the last fails whoever asks.
        f"{FORBIDDEN} CREATE POLICY a ON messages USING (hidden.ask()) WITH CHECK (hidden.ask())",
        f"{FORBIDDEN} CREATE POLICY z ON conversations USING (hidden.ask()) WITH CHECK (hidden.ask())",
        f"{FORBIDDEN} CREATE POLICY a ON conversation_participants USING (EXISTS (SELECT FROM hidden.list))",
        *(
            f"{FORBIDDEN} ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;"
            f"CREATE POLICY a ON {table} USING (hidden.fail() AND EXISTS (SELECT FROM hidden.list))"
            for table in ("profiles", "help_requests", "messaging_preferences")
        ),
    ],
)
def test_no_legacy_policy_is_in_the_way(superuser: Any, policy: str) -> None:
    assert noticed(superuser, policy) == []


def noticed(superuser: Any, statements: str) -> Sequence[str]:
    return [probe.proves for probe in catch(superuser, Mutant("", statements), PROBES)]


@pytest.fixture
def superuser(worlds: dict[str, str]) -> Iterator["psycopg.Connection[Any]"]:
    url = databases.superuser_url(settings.DATA_DIR, worlds["taken over"])
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        yield connection
