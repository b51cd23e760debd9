"""The proof at the end: it fails, and names the rows, when anything legacy reads differently."""

from dataclasses import replace

import pytest
from django.conf import settings
from django.db import connection

from carecollective.inbox.selectors import open_thread
from carecollective.postgres.dsn import connection_url, database_settings
from carecollective.takeover import proof
from carecollective.takeover.rehearsal import Rehearsal
from tests.takeover.test_taking_over import adopt, numbers, refusal_of

HELLO = "14090ff7-9a68-40f4-be5b-e706297db165"
PAIR = "6fdf937d-cab1-4667-99ef-e4149da40d62"
LEFT_BY_EWAN = "f2f30c81-bff8-4c67-a32f-c0db643b40cc"


@pytest.fixture
def prove(adopted, monkeypatch):
    """Run the proof here, as the owner of the tables, on the database taken over."""
    monkeypatch.setattr(proof, "role_url", lambda role: connection_url(settings.DATA_DIR, role, adopted))
    owner = database_settings(connection_url(settings.DATA_DIR, "owner", adopted))
    before = dict(connection.settings_dict)
    connection.close()
    options = {name: value for name, value in before["OPTIONS"].items() if name != "options"}
    connection.settings_dict.update(USER=owner["USER"], PASSWORD=owner["PASSWORD"], OPTIONS=options)
    yield proof.prove_site
    connection.close()
    connection.settings_dict.update(before)


@pytest.fixture
def read(prove, monkeypatch):
    """Run the proof without the steps that it rehearses, which take most of its time: what is read is looked at alone."""
    nothing = Rehearsal(busiest=None)
    monkeypatch.setattr(proof, "rehearse", lambda *, busiest: nothing)
    return prove


def test_a_message_that_the_web_cannot_see_fails_the_proof(read, adopted, as_superuser):
    as_superuser(adopted).execute(
        f"CREATE POLICY forgotten ON messages AS RESTRICTIVE TO carecollective_web USING (id <> '{HELLO}')"
    )
    said = "\n".join(read().differences)
    assert said.count(f"message {HELLO} of conversation {PAIR} is missing for") == 2
    assert "Happy to take this on" not in said


def test_a_conversation_that_the_web_cannot_see_fails_the_proof(read, adopted, as_superuser):
    as_superuser(adopted).execute(
        f"CREATE POLICY forgotten ON conversations AS RESTRICTIVE TO carecollective_web USING (id <> '{PAIR}')"
    )
    said = "\n".join(read().differences)
    assert said.count(f"conversation {PAIR} is missing from the inbox of") == 2


def test_a_row_that_changes_on_the_way_fails_the_proof(legacy, as_superuser):
    as_superuser(legacy).execute(
        """
        CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN UPDATE messages SET status = 'delivered' WHERE sender_id = NEW.id; RETURN NEW; END $$;
        CREATE TRIGGER meddle AFTER UPDATE ON profiles FOR EACH ROW EXECUTE FUNCTION meddle();
        """
    )
    said = refusal_of(legacy)
    assert "the rows of messages changed" in said
    assert "the rows of conversations changed" not in said


def test_the_takeover_goes_on_where_it_stopped_and_counts_the_whole(legacy, as_superuser, contents):
    server = as_superuser(legacy)
    server.execute(REFUSE.format(trigger="t BEFORE INSERT ON conversations FOR EACH ROW"))
    assert "it goes on where it stopped" in refusal_of(legacy)
    assert server.execute("SELECT count(*) FROM adoption_takeover").fetchone() == (0,)
    kept = contents(legacy)
    server.execute("DROP TRIGGER t ON conversations")
    counted = numbers(adopt(legacy).stdout)
    assert counted["Members who can sign in with their legacy password"] == 45
    assert (counted["Staff"], counted["Internal testers"], counted["Open requests given their full time again"]) == (
        3,
        1,
        15,
    )
    assert server.execute("SELECT count(*) FROM adoption_takeover").fetchone() == (1,)
    # Of what was rehearsed, nothing stays; the two that change are the end of each request, and the note that it is done.
    changed = {table for table, checksum in contents(legacy).items() if checksum != kept[table]}
    assert changed == {"public.adoption_takeover", "public.help_requests"}


def test_what_was_rehearsed_leaves_no_row(adopted_template, as_superuser):
    server = as_superuser(adopted_template[0])
    for table in ("django_session", "axes_accessattempt", "axes_accesslog", "privacy_erasure", "mail_outgoingmail"):
        assert server.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert server.execute("SELECT count(*) FROM profiles WHERE email LIKE '%@rehearsal.invalid'").fetchone() == (0,)
    assert server.execute("SELECT count(*) FROM application_logs").fetchone() == (0,)


# A policy of the legacy system's that restricts holds every role, ours too, and the preflight does not know this one's name.
BLIND = "CREATE POLICY carecollective_blind ON {table} AS RESTRICTIVE TO carecollective_web USING ({condition})"
REFUSE = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
$$ BEGIN RAISE EXCEPTION 'no more room'; END $$;
CREATE TRIGGER {trigger} EXECUTE FUNCTION public.refuse();
"""


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (BLIND.format(table="messaging_preferences", condition="false"), "sees 0 rows of messaging_preferences of 48"),
        (BLIND.format(table="help_requests", condition="status = 'open'"), "rows of help_requests of 30"),
        (BLIND.format(table="profiles", condition="name > 'B'"), "rows of profiles of 48"),
    ],
)
def test_rows_hidden_from_operations_fail_the_proof_by_table(read, adopted, as_superuser, statements, said):
    table = statements.split()[4]
    as_superuser(adopted).execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; {statements}")
    assert any(said in difference for difference in read().differences)


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        (
            "t BEFORE INSERT ON profiles FOR EACH ROW",
            "Signing up fails: no more room; this is the trigger t on profiles",
        ),
        (
            "t BEFORE UPDATE ON profiles FOR EACH ROW WHEN (NEW.verification_status = 'approved' AND NEW.is_active)",
            "Approving a member by staff fails: no more room",
        ),
        (
            "t BEFORE INSERT ON messages FOR EACH ROW WHEN (NEW.sender_id <> NEW.recipient_id)",
            "Starting a conversation in the legacy tables fails: no more room",
        ),
        ("t BEFORE UPDATE ON messages FOR EACH ROW", "Erasing a member by staff fails: no more room"),
    ],
)
def test_a_step_that_members_could_not_take_fails_the_proof(prove, adopted, as_superuser, trigger, said):
    as_superuser(adopted).execute(REFUSE.format(trigger=trigger))
    assert [difference for difference in prove().differences if difference.startswith(said)]


def test_the_proof_counts_what_it_read(read):
    found = read()
    assert (found.conversations, found.readings, found.without_a_message, found.differences) == (16, 31, 7, ())


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lambda message: {"content": message.content + "!"}, "reads differently"),
        (lambda message: {"is_withheld": not message.is_withheld}, "is wrongly shown or withheld"),
        (lambda message: {"id": message.sender_id}, "is new to"),
    ],
    ids=["another text", "shown or withheld", "another message"],
)
def test_a_reader_that_gets_it_wrong_fails_the_proof(read, monkeypatch, tamper, said):
    def misread(**given):
        thread = open_thread(**given)
        return replace(thread, messages=[replace(message, **tamper(message)) for message in thread.messages])

    monkeypatch.setattr(proof, "open_thread", misread)
    assert any(said in difference for difference in read().differences)


def test_showing_a_conversation_to_who_left_it_fails_the_proof(read, monkeypatch):
    monkeypatch.setattr(proof, "_can_read", lambda reader, conversation_id: True)
    (difference,) = read().differences
    assert f"conversation {LEFT_BY_EWAN} is still shown to" in difference


def test_more_messages_than_a_page_are_all_read(read, as_superuser, adopted):
    as_superuser(adopted).execute(
        f"""
        INSERT INTO messages (conversation_id, sender_id, recipient_id, content, created_at)
        SELECT conversation_id, sender_id, recipient_id, 'Number ' || n, '2025-10-01'
        FROM messages, generate_series(1, 120) n WHERE id = '{HELLO}'
        """
    )
    found = read()
    assert (found.messages, found.differences) == (52 + 240, ())
