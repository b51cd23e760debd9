"""The preflight names each column, table and function that the takeover cannot use, and how to make way."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction

from carecollective.postgres.dsn import connection_url, database_settings
from carecollective.takeover.preflight.columns import find_requests_without_owner, find_unsuitable_columns
from carecollective.takeover.preflight.names import find_name_conflicts, find_unreadable_restrictions

CHECKS = (find_name_conflicts, find_unsuitable_columns, find_requests_without_owner, find_unreadable_restrictions)
DROP_OPEN = "DROP INDEX help_requests_open; ALTER TABLE help_requests DROP CONSTRAINT help_requests_status_check;"
# A change to the legacy schema, and what the preflight says of it; the remedy that it prints must settle it.
CHANGES = {
    "a missing column of the messages": (
        "ALTER TABLE messages DROP COLUMN moderation_status",
        "The column public.messages.moderation_status (text) is missing.",
    ),
    "a boolean kept as a number": (
        "ALTER TABLE profiles ALTER is_admin DROP DEFAULT, ALTER is_admin TYPE int USING is_admin::int",
        "The column public.profiles.is_admin is of the type integer, and the site needs boolean.",
    ),
    "a moment without a time zone": (
        "ALTER TABLE messages ALTER updated_at TYPE timestamp",
        "public.messages.updated_at is of the type timestamp without time zone",
    ),
    "an id kept as text": (
        "ALTER TABLE messages DROP CONSTRAINT messages_help_request_id_fkey, ALTER help_request_id TYPE text",
        "public.messages.help_request_id is of the type text, and the site needs uuid",
    ),
    "an enumerated type without our word": (
        DROP_OPEN + "CREATE TYPE stand AS ENUM ('open', 'in_progress', 'completed', 'closed');"
        "ALTER TABLE help_requests ALTER status DROP DEFAULT,"
        " ALTER status TYPE stand USING CASE WHEN status = 'cancelled' THEN 'closed' ELSE status END::stand",
        "public.help_requests.status is of the type stand, which has no 'cancelled'",
    ),
    "a check without our word": (
        DROP_OPEN
        + "ALTER TABLE help_requests ADD CONSTRAINT stand CHECK (status IN ('open', 'in_progress', 'completed',"
        " 'closed', 'canceled')) NOT VALID",
        "The check stand on public.help_requests.status does not let the site write 'cancelled'.",
    ),
    "a shorter message": (
        "ALTER TABLE messages DROP CONSTRAINT messages_content_check,"
        " ADD CONSTRAINT short CHECK (length(content) <= 500)",
        "The check short on public.messages.content does not let the site write 1000 characters.",
    ),
    "a narrow column": (
        "ALTER TABLE help_requests ALTER title TYPE varchar(60)",
        "public.help_requests.title (character varying) takes 60 characters",
    ),
    "an unknown column that must be filled": (
        "ALTER TABLE messages ADD thread_key text NOT NULL DEFAULT 'x'; ALTER TABLE messages ALTER thread_key DROP DEFAULT",
        "The column public.messages.thread_key (text) must be filled, and the site does not know it.",
    ),
    "a column that must not be empty": (
        "UPDATE profiles SET location = ''; ALTER TABLE profiles ALTER location SET NOT NULL",
        "The column public.profiles.location (text) must not be empty, and the site leaves it so.",
    ),
    "another default role": (
        "ALTER TABLE conversation_participants ALTER role DROP DEFAULT",
        "public.conversation_participants.role has no default 'member'",
    ),
    "no primary key": (
        "ALTER TABLE messages DROP CONSTRAINT messages_pkey CASCADE",
        "The column public.messages.id is no primary key.",
    ),
    "requests of nobody": (
        "ALTER TABLE help_requests DROP CONSTRAINT help_requests_user_id_fkey;"
        "INSERT INTO help_requests (user_id, title) VALUES (gen_random_uuid(), 'Whose?')",
        "Of public.help_requests, 1 rows name in user_id nobody",
    ),
    "an earlier attempt at the new messaging": (
        "CREATE TABLE conversations_v2 (id uuid PRIMARY KEY)",
        "There is already a table public.conversations_v2",
    ),
    "a column of ours": (
        "ALTER TABLE profiles ADD email text",
        "There is already a column public.profiles.email (text)",
    ),
    "a function of ours": (
        "CREATE FUNCTION current_member() RETURNS uuid LANGUAGE sql AS 'SELECT auth.uid()'",
        "There is already a function public.current_member()",
    ),
}
# What is taken over as it is.
FINE = {
    "enumerated types": DROP_OPEN
    + "CREATE TYPE stand AS ENUM ('open', 'in_progress', 'completed', 'cancelled', 'closed', 'on_hold');"
    "ALTER TABLE help_requests ALTER status DROP DEFAULT, ALTER status TYPE stand USING status::stand",
    "columns that came later": "ALTER TABLE profiles DROP COLUMN is_beta_tester, DROP COLUMN is_system_user,"
    " DROP COLUMN rejection_reason; ALTER TABLE help_requests DROP COLUMN is_ongoing, DROP COLUMN category",
    "wide columns": "ALTER TABLE help_requests ALTER title TYPE varchar(200), ADD pet_name text, ADD n int NOT NULL DEFAULT 1",
}


@pytest.fixture
def as_owner(legacy: str, django_db_setup: None, django_db_blocker: Any) -> Iterator[Callable[[str], list[str]]]:
    """Change the legacy database as its owner in a transaction that is taken back."""
    owner = database_settings(connection_url(settings.DATA_DIR, "owner", legacy))
    before = dict(connection.settings_dict)
    connection.close()
    options = {name: value for name, value in before["OPTIONS"].items() if name != "options"}
    connection.settings_dict.update(NAME=legacy, USER=owner["USER"], PASSWORD=owner["PASSWORD"], OPTIONS=options)
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        yield cursor.execute
        connection.close()
    connection.settings_dict.update(before)


def findings():
    return [finding for check in CHECKS for finding in check()]


def test_each_obstacle_is_named_and_its_remedy_settles_it(as_owner):
    wrong = {}
    for name, (change, said) in CHANGES.items():
        with transaction.atomic():
            as_owner(change)
            found = findings()
            if len(found) != 1 or said not in found[0].problem:
                wrong[name] = [finding.problem for finding in found]
            else:
                remedy = re.search(r"[^:]*(?<!:): ((?:ALTER|CREATE|DELETE).*;)$", found[0].remedy)
                assert remedy
                for statement in remedy[1].split("; "):
                    as_owner(statement)
                if left := findings():
                    wrong[name] = ["not settled", *(finding.problem for finding in left)]
            transaction.set_rollback(True)
    assert wrong == {}


def test_what_can_be_taken_over_as_it_is_stands_in_nobodys_way(as_owner):
    for name, change in FINE.items():
        with transaction.atomic():
            as_owner(change)
            assert [finding.problem for finding in findings()] == [], name
            transaction.set_rollback(True)
    assert findings() == []


def test_a_table_of_restrictions_without_members_is_noted(as_owner):
    with transaction.atomic():
        as_owner("CREATE TABLE bans (address text)")
        (note,) = findings()
        assert ("bans" in note.problem, note.stops) == (True, False)
        transaction.set_rollback(True)
