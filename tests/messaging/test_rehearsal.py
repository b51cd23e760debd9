"""A start and a send in V1 that are taken back: found out is whether members can, and nothing stays."""

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.core import mail
from django.db import Error, connection, transaction

from carecollective.accounts.models import User
from carecollective.core.errors import DomainError
from carecollective.help_requests.models import HelpRequest
from carecollective.messaging.errors import ConversationNotFound, MessageNotFound
from messaging_v1.rehearsal import rehearse_conversation
from messaging_v1.services import start_legacy_conversation
from rollout.dashboard import prometheus
from rollout.telemetry import events

Connect = Callable[..., "psycopg.Connection[Any]"]
Member = Callable[..., User]
Ask = Callable[..., HelpRequest]
Sql = Callable[..., list[tuple[Any, ...]]]
Contents = Callable[[], dict[str, tuple[int, str]]]

RAISE = """
CREATE FUNCTION public.stand_in_the_way() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no more room'; END $$;
"""
BROKEN = {
    "a table renamed": "ALTER TABLE conversations RENAME TO conversations_moved",
    "a trigger that raises": RAISE
    + "CREATE TRIGGER broken BEFORE INSERT ON conversations FOR EACH ROW EXECUTE FUNCTION public.stand_in_the_way()",
    "a trigger that raises at the commit": RAISE
    + "CREATE CONSTRAINT TRIGGER broken AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION public.stand_in_the_way()",
    "a grant taken away": "REVOKE INSERT ON messages FROM carecollective_web",
    "a policy that lets nobody join": "DROP POLICY carecollective_join ON conversation_participants",
    "a policy that lets nobody read": "DROP POLICY carecollective_read ON messages",
}
# What a legacy trigger may do: write elsewhere, and tell whoever listens.
LEGACY_TRIGGER = """
CREATE TABLE public.legacy_activity (at timestamptz, conversation uuid);
GRANT INSERT ON public.legacy_activity TO carecollective_web;
CREATE FUNCTION public.note_activity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.legacy_activity VALUES (now(), NEW.id);
  PERFORM pg_notify('legacy', NEW.id::text);
  RETURN NEW;
END $$;
CREATE TRIGGER note_activity AFTER INSERT ON conversations FOR EACH ROW EXECUTE FUNCTION public.note_activity();
"""
TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1
"""


in_a_transaction = pytest.mark.usefixtures("db")
seen_by_others = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def sql(beyond_policies: Callable[..., Any]) -> Sql:
    """Run a statement as the superuser, and return the rows it answers."""

    def run(statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with beyond_policies() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def community(member: Member, help_request: Ask) -> HelpRequest:
    """Two members, and a request of one of them."""
    member()
    return help_request()


@pytest.fixture
def contents(sql: Sql) -> Callable[[], dict[str, tuple[int, str]]]:
    """Return of each table how many rows it has, and a digest of them."""

    def read() -> dict[str, tuple[int, str]]:
        return {
            table: sql(f"SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t")[0]
            for (table,) in sql(TABLES)
        }

    return read


@seen_by_others
def test_nothing_stays_and_nobody_hears_of_it(
    sql: Sql, connect_as: Connect, contents: Contents, community: HelpRequest
) -> None:
    sql(LEGACY_TRIGGER)
    listener = connect_as("superuser", autocommit=True)
    for channel in ("legacy", "rollout_changed"):
        listener.execute(f"LISTEN {channel}")
    events.forget()
    before, measured = contents(), prometheus.render()
    assert "public.legacy_activity" in before

    assert rehearse_conversation()

    assert contents() == before
    assert list(listener.notifies(timeout=0.3)) == []
    assert (events.waiting(), mail.outbox) == (0, [])
    assert _counted(prometheus.render()) == _counted(measured) != []


def _counted(rendered: bytes) -> list[str]:
    counted = ("carecollective_operation", "carecollective_connection_errors", "carecollective_conversations")
    return [line for line in rendered.decode().splitlines() if line.startswith(counted)]


@in_a_transaction
def test_what_it_does_is_seen_by_the_tables(sql: Sql, community: HelpRequest) -> None:
    sql(
        "CREATE SEQUENCE public.seen; GRANT USAGE ON SEQUENCE public.seen TO carecollective_web;"
        "CREATE FUNCTION public.count_it() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM nextval('public.seen'); RETURN NEW; END $$;"
    )
    for table in ("conversations", "conversation_participants", "messages"):
        sql(f"CREATE TRIGGER count_it AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION public.count_it()")
    assert rehearse_conversation()
    # A sequence is the one thing that a rollback leaves: a conversation, two participants, two messages.
    assert sql("SELECT last_value FROM public.seen") == [(5,)]


@in_a_transaction
@pytest.mark.parametrize("how", BROKEN)
def test_it_fails_where_members_would(sql: Sql, contents: Contents, community: HelpRequest, how: str) -> None:
    sql(BROKEN[how])
    before = contents()
    with pytest.raises((Error, DomainError)):
        rehearse_conversation()
    assert contents() == before


@in_a_transaction
def test_a_message_that_does_not_arrive_is_a_failure(sql: Sql, community: HelpRequest) -> None:
    sql(
        "CREATE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.content := 'something else'; RETURN NEW; END $$;"
        "CREATE TRIGGER swallow BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION public.swallow()"
    )
    with pytest.raises(MessageNotFound):
        rehearse_conversation()
    sql("DROP TRIGGER swallow ON messages")
    sql("ALTER POLICY carecollective_read ON conversations USING (false)")
    with pytest.raises((ConversationNotFound, Error)):
        rehearse_conversation()


@in_a_transaction
def test_with_no_open_request_it_makes_one_for_itself(sql: Sql, contents: Contents, community: HelpRequest) -> None:
    sql("UPDATE help_requests SET status = 'closed'")
    before = contents()
    assert rehearse_conversation()
    assert contents() == before


@in_a_transaction
def test_a_pair_that_is_talking_already_is_no_failure(
    sql: Sql, contents: Contents, community: HelpRequest, member: Member
) -> None:
    for helper in User.objects.exclude(pk=community.user_id):
        start_legacy_conversation(actor=helper, help_request_id=community.pk, initial_message="I can help with that.")
    before = contents()
    assert rehearse_conversation()
    assert contents() == before


@seen_by_others
def test_a_request_that_somebody_holds_is_passed_over(connect_as: Connect, community: HelpRequest) -> None:
    with connect_as("superuser") as session:
        session.execute("SELECT FROM help_requests FOR UPDATE")
        rehearse_conversation()


@in_a_transaction
def test_only_approved_and_active_members_are_taken(sql: Sql, community: HelpRequest) -> None:
    sql("UPDATE profiles SET is_active = false WHERE id <> %s", community.user_id)
    assert not rehearse_conversation()
    sql("UPDATE profiles SET is_active = true, verification_status = 'pending'")
    assert not rehearse_conversation()


@seen_by_others
@pytest.mark.parametrize("table", ["conversations", "messages"])
def test_it_waits_a_second_for_a_lock_and_no_longer(connect_as: Connect, community: HelpRequest, table: str) -> None:
    with connect_as("superuser") as session:
        session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(Error):
            rehearse_conversation()
        assert time.monotonic() - began < 2.0


@in_a_transaction
def test_many_slow_statements_end_within_seconds(sql: Sql, community: HelpRequest) -> None:
    sql(
        "CREATE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.8); RETURN NEW; END $$;"
    )
    for table in ("conversations", "conversation_participants", "messages"):
        sql(f"CREATE TRIGGER dawdle BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION public.dawdle()")
    began = time.monotonic()
    with pytest.raises(Error):
        rehearse_conversation()
    assert time.monotonic() - began < 3.5


@in_a_transaction
def test_within_a_transaction_of_the_callers_that_goes_on(sql: Sql, community: HelpRequest, member: Member) -> None:
    with transaction.atomic():
        kept = member(name="Kept")
        rehearse_conversation()
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() != ("1s",)
    assert User.objects.filter(pk=kept.pk).exists()
