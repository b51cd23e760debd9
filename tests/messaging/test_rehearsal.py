"""A start and a send in V1 that are taken back: found out is whether members can, and nothing stays."""

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.core import mail
from django.db import Error, connection, transaction
from psycopg import sql

from carecollective.accounts.models import User
from carecollective.core.errors import ConversationNotFound, DomainError, MessageNotFound
from carecollective.help_requests.models import HelpRequest
from messaging_v1.rehearsal import NobodyToRehearse, rehearse_conversation
from messaging_v1.services import start_legacy_conversation
from rollout import events, metrics

Connect = Callable[..., "psycopg.Connection[Any]"]
Member = Callable[..., User]
Ask = Callable[..., HelpRequest]
Superuser = psycopg.Connection[Any]

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


@pytest.fixture
def superuser(committed_db: None, connect_as: Connect) -> Superuser:
    return connect_as("superuser", autocommit=True)


@pytest.fixture
def community(superuser: Superuser, member: Member, help_request: Ask) -> HelpRequest:
    """Two members, and a request of one of them."""
    member()
    return help_request()


def contents(superuser: Superuser) -> dict[str, tuple[int, str]]:
    """Return of each table how many rows it has, and a digest of them."""
    found = {}
    for (table,) in superuser.execute(TABLES).fetchall():
        rows = superuser.execute(
            sql.SQL("SELECT count(*), coalesce(md5(string_agg(t::text, '' ORDER BY t::text)), '') FROM {} t").format(
                sql.SQL(table)
            )
        ).fetchone()
        assert rows is not None
        found[table] = rows
    return found


def test_nothing_stays_and_nobody_hears_of_it(superuser: Superuser, community: HelpRequest) -> None:
    superuser.execute(LEGACY_TRIGGER)
    for channel in ("legacy", "rollout_changed"):
        superuser.execute(f"LISTEN {channel}")
    before, measured = contents(superuser), metrics.render()
    assert "public.legacy_activity" in before

    rehearse_conversation()

    assert contents(superuser) == before
    assert list(superuser.notifies(timeout=0.3)) == []
    assert (events.waiting(), mail.outbox) == (0, [])
    assert _counted(metrics.render()) == _counted(measured)


def _counted(rendered: bytes) -> list[str]:
    return [line for line in rendered.decode().splitlines() if line.startswith("carecollective_messaging")]


def test_what_it_does_is_seen_by_the_tables(superuser: Superuser, community: HelpRequest) -> None:
    superuser.execute(
        "CREATE SEQUENCE public.seen; GRANT USAGE ON SEQUENCE public.seen TO carecollective_web;"
        "CREATE FUNCTION public.count_it() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM nextval('public.seen'); RETURN NEW; END $$;"
    )
    for table in ("conversations", "conversation_participants", "messages"):
        superuser.execute(
            f"CREATE TRIGGER count_it AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION public.count_it()"
        )
    rehearse_conversation()
    # A sequence is the one thing that a rollback leaves: a conversation, two participants, two messages.
    assert superuser.execute("SELECT last_value FROM public.seen").fetchone() == (5,)


@pytest.mark.parametrize("how", BROKEN)
def test_it_fails_where_members_would(superuser: Superuser, community: HelpRequest, how: str) -> None:
    superuser.execute(BROKEN[how])
    before = contents(superuser)
    with pytest.raises((Error, DomainError)):
        rehearse_conversation()
    assert contents(superuser) == before
    assert not connection.in_atomic_block


def test_a_message_that_does_not_arrive_is_a_failure(superuser: Superuser, community: HelpRequest) -> None:
    superuser.execute(
        "CREATE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.content := 'something else'; RETURN NEW; END $$;"
        "CREATE TRIGGER swallow BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION public.swallow()"
    )
    with pytest.raises(MessageNotFound):
        rehearse_conversation()
    superuser.execute("DROP TRIGGER swallow ON messages")
    superuser.execute("ALTER POLICY carecollective_read ON conversations USING (false)")
    with pytest.raises((ConversationNotFound, Error)):
        rehearse_conversation()


def test_with_no_open_request_it_makes_one_for_itself(superuser: Superuser, community: HelpRequest) -> None:
    superuser.execute("UPDATE help_requests SET status = 'closed'")
    before = contents(superuser)
    rehearse_conversation()
    assert contents(superuser) == before


def test_a_pair_that_is_talking_already_is_no_failure(
    superuser: Superuser, community: HelpRequest, member: Member
) -> None:
    for helper in User.objects.exclude(pk=community.user_id):
        start_legacy_conversation(actor=helper, help_request_id=community.pk, initial_message="I can help with that.")
    before = contents(superuser)
    rehearse_conversation()
    assert contents(superuser) == before


def test_a_request_that_somebody_holds_is_passed_over(superuser: Superuser, community: HelpRequest) -> None:
    with superuser.transaction():
        superuser.execute("SELECT FROM help_requests FOR UPDATE")
        rehearse_conversation()


def test_only_approved_and_active_members_are_taken(superuser: Superuser, community: HelpRequest) -> None:
    superuser.execute("UPDATE profiles SET is_active = false WHERE id <> %s", [community.user_id])
    with pytest.raises(NobodyToRehearse):
        rehearse_conversation()
    superuser.execute("UPDATE profiles SET is_active = true, verification_status = 'pending'")
    with pytest.raises(NobodyToRehearse):
        rehearse_conversation()


@pytest.mark.parametrize("table", ["conversations", "messages"])
def test_it_waits_a_second_for_a_lock_and_no_longer(superuser: Superuser, community: HelpRequest, table: str) -> None:
    with superuser.transaction():
        superuser.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(Error):
            rehearse_conversation()
        assert time.monotonic() - began < 2.0


def test_many_slow_statements_end_within_seconds(superuser: Superuser, community: HelpRequest) -> None:
    superuser.execute(
        "CREATE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.8); RETURN NEW; END $$;"
    )
    for table in ("conversations", "conversation_participants", "messages"):
        superuser.execute(
            f"CREATE TRIGGER dawdle BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION public.dawdle()"
        )
    began = time.monotonic()
    with pytest.raises(Error):
        rehearse_conversation()
    assert time.monotonic() - began < 3.5


def test_within_a_transaction_of_the_callers_that_goes_on(
    superuser: Superuser, community: HelpRequest, member: Member
) -> None:
    with transaction.atomic():
        kept = member(name="Kept")
        rehearse_conversation()
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() != ("1s",)
    assert User.objects.filter(pk=kept.pk).exists()
