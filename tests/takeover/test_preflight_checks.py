"""What the preflight finds in a legacy database, each by name and with its remedy, and what it lets be."""

import pytest
from django.conf import settings
from django.db import connection, transaction

from carecollective.postgres.dsn import connection_url, database_settings
from carecollective.takeover import preflight

FUNCTION = "CREATE FUNCTION public.theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$;"
TRIGGER = "CREATE TRIGGER theirs AFTER INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION public.theirs();"
AUDIT = "CREATE TABLE public.audit (row_id uuid, at timestamptz DEFAULT now());"


def trigger(body, table="messages", *, before=AUDIT):
    return before + FUNCTION.format(body=body) + TRIGGER.format(table=table)


OWNERS_RIGHTS = "ALTER FUNCTION theirs() SECURITY DEFINER SET search_path = public, pg_temp;"
FOUND = {
    "a policy that reads its own table": (
        "CREATE POLICY mine ON conversation_participants FOR SELECT USING (conversation_id IN"
        " (SELECT p.conversation_id FROM conversation_participants p WHERE p.user_id = auth.uid()))",
        "The policy mine on conversation_participants reads conversation_participants again",
        'ALTER POLICY "mine" ON conversation_participants TO CURRENT_USER;',
    ),
    "two policies that read each other's tables": (
        "ALTER TABLE profiles ENABLE ROW LEVEL SECURITY; ALTER TABLE help_requests ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY a ON profiles USING (id IN (SELECT user_id FROM help_requests));"
        "CREATE POLICY b ON help_requests USING (user_id IN (SELECT id FROM profiles))",
        "The policy a on profiles reads profiles again",
        'ALTER POLICY "a" ON profiles TO',
    ),
    "a policy on writing that reads its table behind our gate": (
        "CREATE POLICY once ON conversation_participants FOR INSERT WITH CHECK (NOT EXISTS"
        " (SELECT FROM conversation_participants p WHERE p.user_id = auth.uid()))",
        "The policy once on conversation_participants reads",
        'ALTER POLICY "once"',
    ),
    "a policy that restricts": (
        'CREATE POLICY "Only mine." ON messages AS RESTRICTIVE USING (sender_id = auth.uid())',
        "The policy Only mine. on messages restricts every role",
        'ALTER POLICY "Only mine." ON messages TO',
    ),
    "security that is forced": (
        "ALTER TABLE messages FORCE ROW LEVEL SECURITY",
        "Row-level security is forced on messages",
        "ALTER TABLE public.messages NO FORCE ROW LEVEL SECURITY;",
    ),
    "security that is off": (
        "ALTER TABLE messages DISABLE ROW LEVEL SECURITY",
        "Row-level security is off on messages",
        "ALTER TABLE public.messages ENABLE ROW LEVEL SECURITY;",
    ),
    "a trigger that writes into a table of theirs": (
        trigger("INSERT INTO audit (row_id) VALUES (NEW.id);"),
        "The trigger theirs on messages runs as the role that writes, and its function needs INSERT on public.audit",
        OWNERS_RIGHTS,
    ),
    "a trigger that counts in a column of ours": (
        trigger("UPDATE public.profiles AS p SET phone = '1' WHERE p.id = NEW.user_id;", "help_requests"),
        "needs UPDATE on public.profiles",
        OWNERS_RIGHTS,
    ),
    "a trigger that reads and deletes elsewhere": (
        trigger("DELETE FROM audit WHERE row_id IN (SELECT row_id FROM audit);", "profiles"),
        "The trigger theirs on profiles runs as the role that writes, and its function needs DELETE on public.audit, SELECT on",
        OWNERS_RIGHTS,
    ),
    "a trigger that calls what writes": (
        AUDIT
        + "CREATE FUNCTION note(who uuid) RETURNS void LANGUAGE sql AS 'INSERT INTO audit (row_id) VALUES (who)';"
        + trigger("PERFORM note(NEW.id);", before=""),
        "needs INSERT on public.audit",
        OWNERS_RIGHTS,
    ),
    "a trigger that calls what it may not": (
        "CREATE FUNCTION note(who uuid) RETURNS void LANGUAGE sql SECURITY DEFINER AS '';"
        "REVOKE EXECUTE ON FUNCTION note(uuid) FROM PUBLIC;" + trigger("PERFORM public.note(NEW.id);", before=""),
        "needs EXECUTE on note(uuid)",
        OWNERS_RIGHTS,
    ),
    "a trigger that writes behind row-level security": (
        AUDIT
        + "ALTER TABLE audit ENABLE ROW LEVEL SECURITY;"
        + trigger("INSERT INTO audit (row_id) VALUES (NEW.id);", before=""),
        "needs INSERT on public.audit",
        OWNERS_RIGHTS,
    ),
    "a table open to all": (
        AUDIT + "GRANT INSERT, SELECT ON audit TO PUBLIC",
        "Everybody on the server has INSERT, SELECT on public.audit",
        "REVOKE INSERT, SELECT ON public.audit FROM PUBLIC;",
    ),
    "no trigger that keeps the order": (
        "DROP TRIGGER bump_conversation ON messages",
        "No trigger on messages keeps conversations.last_message_at",
        "CREATE TRIGGER keep_last_message_at AFTER INSERT ON public.messages",
    ),
}
LET_BE = {
    "a policy that says true": "CREATE POLICY theirs ON messages USING (true)",
    "a policy that calls what our roles may not": (
        "CREATE FUNCTION ask() RETURNS boolean LANGUAGE sql AS 'SELECT true'; REVOKE EXECUTE ON FUNCTION ask() FROM PUBLIC;"
        "ALTER TABLE profiles ENABLE ROW LEVEL SECURITY; CREATE POLICY theirs ON profiles USING (ask())"
    ),
    "a policy on writing that reads its own table": (
        "ALTER TABLE help_requests ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY few ON help_requests FOR INSERT WITH CHECK ((SELECT count(*) FROM help_requests) < 1000)"
    ),
    "a trigger on its owner's rights": trigger("INSERT INTO audit (row_id) VALUES (NEW.id);") + OWNERS_RIGHTS,
    "a trigger that is switched off": trigger("INSERT INTO audit (row_id) VALUES (NEW.id);")
    + "ALTER TABLE messages DISABLE TRIGGER theirs",
    "a trigger that says it in a comment": trigger("-- INSERT INTO audit\n NEW.content := 'INSERT INTO audit';"),
    "the sample's trigger by another name": "ALTER TRIGGER bump_conversation ON messages RENAME TO touch",
}


@pytest.fixture(scope="module")
def legacy_once(make_database, legacy_template):
    return make_database("legacy_checks", template=legacy_template)


@pytest.fixture
def search(legacy_once, django_db_setup, django_db_blocker):
    """Return a function that changes the legacy database as its owner, runs every check, and takes the change back."""
    before = dict(connection.settings_dict)
    owner = database_settings(connection_url(settings.DATA_DIR, "owner", legacy_once))
    options = {name: value for name, value in before["OPTIONS"].items() if name != "options"}
    connection.close()
    connection.settings_dict.update(NAME=legacy_once, USER=owner["USER"], PASSWORD=owner["PASSWORD"], OPTIONS=options)

    def run(statements):
        with transaction.atomic():
            connection.cursor().execute(statements)
            found = [finding for check in preflight.CHECKS for finding in check()]
            transaction.set_rollback(True)
        return found

    with django_db_blocker.unblock():
        yield run
        connection.close()
    connection.settings_dict.update(before)


@pytest.mark.parametrize(("statements", "problem", "remedy"), FOUND.values(), ids=FOUND)
def test_it_is_found(search, statements, problem, remedy):
    found = [finding for finding in search(statements) if problem in finding.problem]
    assert found
    assert remedy in found[0].remedy
    assert found[0].stops
    assert found[0].problem.endswith(".")
    assert "\n" not in found[0].problem + found[0].remedy


@pytest.mark.parametrize(("statements", "problem", "remedy"), FOUND.values(), ids=FOUND)
def test_the_remedy_is_one(search, statements, problem, remedy):
    cure = search(statements)[0].remedy.partition(": ")[2]
    assert all(problem not in finding.problem for finding in search(f"{statements};{cure}"))


@pytest.mark.parametrize("statements", LET_BE.values(), ids=LET_BE)
def test_it_is_let_be(search, statements):
    assert search(statements) == []


def test_nothing_is_found_in_the_sample(search):
    assert search("SELECT 1") == []
