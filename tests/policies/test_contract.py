"""The tables of the new messaging are exactly what was agreed: other people's queries count them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from carecollective.core.catalog.snapshot import load_snapshot

Connect = Callable[..., psycopg.Connection[Any]]

COLUMNS = {
    "conversations_v2": [
        "id",
        "help_request_id",
        "requester_id",
        "helper_id",
        "initial_message",
        "status",
        "created_at",
        "updated_at",
    ],
    "messages_v2": ["id", "conversation_id", "sender_id", "content", "created_at", "updated_at"],
}
INDEXES = {
    "conversations_v2": [
        "(created_at)",
        "(help_request_id, helper_id)",
        "(helper_id, updated_at DESC, id DESC)",
        "(id)",
        "(requester_id, updated_at DESC, id DESC)",
    ],
    "messages_v2": ["(conversation_id, created_at, id)", "(id)", "(sender_id)"],
}
CONSTRAINTS = {
    "conversations_v2": {
        "conversations_v2_one_per_pair": "UNIQUE (help_request_id, helper_id)",
        "conversations_v2_two_people": "CHECK ((NOT (requester_id = helper_id)))",
        "conversations_v2_known_status": "CHECK ((status = ANY (ARRAY['active'::text, 'closed'::text])))",
        "conversations_v2_initial_message_length": (
            "CHECK (((length(TRIM(BOTH FROM initial_message)) >= 10) AND (length(initial_message) <= 1000)))"
        ),
    },
    "messages_v2": {
        "messages_v2_content_length": "CHECK (((length(TRIM(BOTH FROM content)) >= 1) AND (length(content) <= 1000)))",
    },
}
V2_TABLES = pytest.mark.parametrize("table", sorted(COLUMNS))


def ask(connect_as: Connect, query: str, *values: Any) -> list[tuple[Any, ...]]:
    return connect_as("superuser").execute(query.encode(), values).fetchall()


@V2_TABLES
def test_it_has_the_agreed_columns(connect_as: Connect, table: str) -> None:
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND table_schema = 'public'"
    assert sorted(name for (name,) in ask(connect_as, query, table)) == sorted(COLUMNS[table])


@V2_TABLES
def test_no_column_may_be_empty(connect_as: Connect, table: str) -> None:
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_nullable = 'YES'"
    assert ask(connect_as, query, table) == []


@V2_TABLES
def test_it_has_the_agreed_indexes_and_no_more(connect_as: Connect, table: str) -> None:
    found = ask(connect_as, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = %s", table)
    assert sorted(definition[definition.index("(") :] for (definition,) in found) == INDEXES[table]


@V2_TABLES
def test_its_rules_have_names(connect_as: Connect, table: str) -> None:
    query = (
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype IN ('u', 'c') AND convalidated"
    )
    assert dict(ask(connect_as, query, table)) == CONSTRAINTS[table]


@V2_TABLES
def test_row_level_security_is_on_and_forced(connect_as: Connect, table: str) -> None:
    query = "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass"
    assert ask(connect_as, query, table) == [(True, True)]


def test_there_are_exactly_five_policies_for_the_web_alone(connect_as: Connect) -> None:
    query = "SELECT tablename, policyname, roles::text FROM pg_policies WHERE tablename IN ('conversations_v2', 'messages_v2')"
    found = ask(connect_as, query)
    assert len(found) == 5
    assert {f"{table}.{policy}" for table, policy, _roles in found} == {
        name for name in load_snapshot().ours["Policies"] if name.partition(".")[0] in COLUMNS
    }
    assert {roles for _table, _policy, roles in found} == {"{carecollective_web}"}


def test_policies_read_the_acting_member_once_per_statement(connect_as: Connect) -> None:
    query = (
        "SELECT policyname, coalesce(qual, '') || coalesce(with_check, '') FROM pg_policies"
        " WHERE tablename IN ('conversations_v2', 'messages_v2')"
    )
    for policy, expression in ask(connect_as, query):
        calls, asked_once = expression.count("current_member()"), expression.count("( SELECT current_member()")
        assert calls == asked_once > 0, policy


def test_the_functions_look_nothing_up_in_the_callers_schemas(connect_as: Connect) -> None:
    query = (
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        # One with a parsed body has looked everything up when it was made.
        " AND (prosecdef OR proname = 'current_member') AND prosqlbody IS NULL"
        " AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=\"\"']"
    )
    # They write to legacy tables, or to allauth's from such a table: triggers there may name a table without its schema.
    names = {"accounts_keep_address", "privacy_scrub_member"}
    assert {name for (name,) in ask(connect_as, query)} == names
    query = "SELECT DISTINCT proconfig FROM pg_proc WHERE proname IN ('accounts_keep_address', 'privacy_scrub_member')"
    assert ask(connect_as, query) == [(["search_path=pg_catalog, public, pg_temp"],)]


def test_a_callers_schema_does_not_change_who_acts(connect_as: Connect) -> None:
    with connect_as("superuser") as connection, connection.transaction(force_rollback=True):
        connection.execute(
            """
            CREATE SCHEMA false_friends;
            CREATE FUNCTION false_friends.current_setting(text, boolean) RETURNS text LANGUAGE sql RETURN gen_random_uuid()::text;
            CREATE FUNCTION false_friends.is_equal(text, text) RETURNS boolean LANGUAGE sql RETURN true;
            CREATE OPERATOR false_friends.= (FUNCTION = false_friends.is_equal, LEFTARG = text, RIGHTARG = text);
            SET LOCAL search_path = false_friends, pg_catalog, public;
            """
        )
        assert connection.execute("SELECT current_setting('app.user_id', true) = 'another'").fetchone() == (True,)
        assert connection.execute("SELECT public.current_member()").fetchone() == (None,)
        member = uuid4()
        connection.execute("SELECT set_config('app.user_id', %s, true)", [str(member)])
        assert connection.execute("SELECT public.current_member()").fetchone() == (member,)


def test_a_repeat_of_the_pair_is_refused_even_past_the_policies(
    db: None, beyond_policies: Callable[[], AbstractContextManager[Any]], help_request: Any, member: Any
) -> None:
    from django.db import IntegrityError, transaction

    ask_for_help, helper = help_request(), member()
    insert = (
        "INSERT INTO conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message)"
        " VALUES (gen_random_uuid(), %s, %s, %s, 'I can help you.')"
    )
    with beyond_policies() as cursor:
        cursor.execute(insert, [ask_for_help.pk, ask_for_help.user_id, helper.pk])
        with pytest.raises(IntegrityError, match="conversations_v2_one_per_pair"), transaction.atomic():
            cursor.execute(insert, [ask_for_help.pk, ask_for_help.user_id, helper.pk])
