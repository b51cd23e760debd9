"""Small changes to the legacy sample, each as some real database of this kind had it."""

from dataclasses import dataclass

from tests.takeover.test_preflight_checks import AUDIT, FUNCTION, OWNERS_RIGHTS, TRIGGER, trigger

SECURED = "".join(
    f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;"
    for table in ("profiles", "help_requests", "messaging_preferences")
)
HIDDEN = (
    "CREATE FUNCTION auth.ask() RETURNS boolean LANGUAGE sql AS 'SELECT true';"
    "REVOKE EXECUTE ON FUNCTION auth.ask() FROM PUBLIC;"
)
FAILS = "CREATE FUNCTION auth.fail() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'nobody may ask'; END $$;"
NOTE = "INSERT INTO audit (row_id) VALUES (NEW.id);"
BUMP = "UPDATE conversations SET last_message_at = NEW.created_at WHERE id = NEW.conversation_id;"

OLDER = """
ALTER TABLE profiles DROP COLUMN is_beta_tester, DROP COLUMN is_system_user, DROP COLUMN rejection_reason;
ALTER TABLE help_requests DROP COLUMN is_ongoing;
DROP TRIGGER default_expiry ON help_requests;
"""
OTHER_TYPES = """
ALTER TABLE profiles ALTER verification_status DROP DEFAULT;
ALTER TABLE profiles ALTER verification_status TYPE varchar(20) USING verification_status::text;
DROP INDEX help_requests_open;
ALTER TABLE help_requests DROP CONSTRAINT help_requests_status_check, ALTER status DROP DEFAULT;
CREATE TYPE request_status AS ENUM ('open', 'in_progress', 'completed', 'cancelled', 'closed', 'on_hold');
ALTER TABLE help_requests ALTER status TYPE request_status USING status::request_status;
ALTER TABLE help_requests ALTER status SET DEFAULT 'open';
UPDATE help_requests SET status = 'on_hold' WHERE id = (SELECT id FROM help_requests WHERE status = 'open' ORDER BY id LIMIT 1);
ALTER TABLE messages DROP CONSTRAINT messages_moderation_status_check, DROP CONSTRAINT messages_message_type_check;
ALTER TABLE messages ALTER message_type DROP DEFAULT;
CREATE TYPE moderation AS ENUM ('pending', 'approved', 'hidden', 'removed');
CREATE TYPE kind AS ENUM ('text', 'system', 'help_request_update');
ALTER TABLE messages ALTER moderation_status TYPE moderation USING moderation_status::moderation,
  ALTER message_type TYPE kind USING message_type::kind, ALTER content TYPE varchar(4000);
"""
GAPS = """
ALTER TABLE profiles ALTER name DROP NOT NULL;
UPDATE profiles SET name = NULL, created_at = NULL, is_admin = NULL WHERE name LIKE 'Quentin%';
UPDATE help_requests SET category = NULL, urgency = NULL, created_at = NULL
WHERE id = (SELECT id FROM help_requests ORDER BY id LIMIT 1);
UPDATE messages SET created_at = NULL, message_type = NULL WHERE id = (SELECT id FROM messages ORDER BY id LIMIT 1);
UPDATE conversation_participants SET joined_at = NULL;
UPDATE conversations SET last_message_at = NULL, updated_at = NULL, created_at = NULL, status = NULL
WHERE id = (SELECT id FROM conversations ORDER BY id LIMIT 1);
"""


@dataclass(frozen=True, slots=True)
class Variant:
    """What is changed, how, and what the preflight names. Without `refused`, the site works afterwards.

    A variant that is not `quick` runs with `make faults` alone.
    """

    name: str
    statements: str
    refused: str = ""
    quick: bool = False


VARIANTS = (
    # Row-level security
    Variant(
        "preferences behind row-level security",
        "ALTER TABLE messaging_preferences ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own_preferences ON messaging_preferences USING (user_id = auth.uid())",
    ),
    Variant("every table secured, and no policy", SECURED),
    Variant(
        "policies that call what our roles may not, and that fail",
        HIDDEN
        + FAILS
        + SECURED
        + "CREATE POLICY a ON profiles USING (auth.ask()); CREATE POLICY z ON help_requests USING (auth.fail());"
        "CREATE POLICY a ON messages USING (auth.ask()) WITH CHECK (auth.ask());"
        "CREATE POLICY z ON conversations USING (auth.fail()) WITH CHECK (auth.fail());"
        "CREATE POLICY a ON messaging_preferences USING (user_id IN (SELECT id FROM auth.users))",
        quick=True,
    ),
    Variant(
        "requests for all to read, for their owner to write",
        "ALTER TABLE help_requests ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY all_read ON help_requests FOR SELECT USING (true);"
        "CREATE POLICY own ON help_requests FOR ALL USING (user_id = auth.uid())",
    ),
    Variant("messages that a policy shows everybody", "CREATE POLICY wide ON messages FOR SELECT USING (true)"),
    Variant(
        "messages by a policy that reads sign-ins",
        "CREATE POLICY theirs ON messages USING (EXISTS (SELECT FROM auth.users u WHERE u.id = sender_id))",
    ),
    Variant(
        "a policy that reads its own table",
        "CREATE POLICY again ON conversation_participants FOR SELECT USING (conversation_id IN"
        " (SELECT p.conversation_id FROM conversation_participants p WHERE p.user_id = auth.uid()))",
        refused="The policy again on conversation_participants reads conversation_participants again",
        quick=True,
    ),
    Variant(
        "two policies that read each other's tables",
        SECURED + "CREATE POLICY a ON profiles USING (id IN (SELECT user_id FROM help_requests));"
        "CREATE POLICY b ON help_requests USING (user_id IN (SELECT id FROM profiles))",
        refused="The policy b on help_requests reads help_requests again",
    ),
    Variant(
        "a policy that restricts",
        "CREATE POLICY mine ON messages AS RESTRICTIVE USING (sender_id = auth.uid())",
        refused="The policy mine on messages restricts every role",
    ),
    Variant("security that is forced", "ALTER TABLE profiles ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            refused="Row-level security is forced on profiles"),
    Variant("messages without security", "ALTER TABLE messages DISABLE ROW LEVEL SECURITY",
            refused="Row-level security is off on messages"),
    # Triggers
    Variant("a trigger into an unknown table", trigger(NOTE),
            refused="The trigger theirs on messages runs as the role that writes, and its function needs INSERT on public.audit"),
    Variant("a trigger on its owner's rights", trigger(NOTE) + OWNERS_RIGHTS),
    Variant("a trigger into a table open to all", AUDIT + "GRANT INSERT ON audit TO PUBLIC;" + trigger(NOTE, before=""),
            refused="Everybody on the server has INSERT on public.audit"),
    Variant("a trigger that is switched off", trigger(NOTE) + "ALTER TABLE messages DISABLE TRIGGER theirs"),
    Variant(
        "a trigger that counts in the member's row",
        "ALTER TABLE profiles ADD asked int DEFAULT 0;"
        + trigger("UPDATE profiles SET asked = asked + 1 WHERE id = NEW.user_id;", "help_requests", before=""),
        refused="The trigger theirs on help_requests runs as the role that writes, and its function needs UPDATE on public.profiles",
    ),
    Variant(
        "triggers that name no schema, on everything that an erasure changes",
        AUDIT
        + FUNCTION.format(body="INSERT INTO audit DEFAULT VALUES;")
        + OWNERS_RIGHTS.replace(" SET search_path = public, pg_temp", "")
        + "".join(
            TRIGGER.format(table=table)
            for table in ("profiles", "help_requests", "messages", "messaging_preferences", "message_reports")
        ),
        quick=True,
    ),
    Variant("the sample's triggers by other names",
            "ALTER TRIGGER bump_conversation ON messages RENAME TO touch;"
            "ALTER FUNCTION bump_conversation() RENAME TO on_new_message;"
            "ALTER TRIGGER default_preferences ON profiles RENAME TO on_profile_created"),
    Variant("the order kept by another function",
            "DROP TRIGGER bump_conversation ON messages;" + FUNCTION.format(body=BUMP) + TRIGGER.format(table="messages")),
    Variant("nothing that keeps the order", "DROP TRIGGER bump_conversation ON messages",
            refused="No trigger on messages keeps conversations.last_message_at"),
    Variant("no preferences for who joins", "DROP TRIGGER default_preferences ON profiles"),
    Variant("a trigger that tells the platform", trigger("PERFORM pg_notify('realtime', NEW.id::text);", before="")),
    Variant("a trigger that keeps the date of a change",
            "ALTER TABLE profiles ADD updated_at timestamptz;" + FUNCTION.format(body="NEW.updated_at := now();")
            + "CREATE TRIGGER theirs BEFORE UPDATE ON profiles FOR EACH ROW EXECUTE FUNCTION theirs()"),
    Variant("a trigger on sign-ins that makes profiles",
            FUNCTION.format(body="INSERT INTO profiles (id, name) VALUES (NEW.id, 'New') ON CONFLICT DO NOTHING;")
            + OWNERS_RIGHTS + "CREATE TRIGGER theirs AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION theirs()"),
    # Tables and rows
    Variant("no messages table", "DROP TABLE message_reports, messages",
            refused="The table public.messages of the legacy database is missing"),
    Variant("more columns, and views over the messages",
            "ALTER TABLE messages ADD reaction text, ADD edited boolean NOT NULL DEFAULT false;"
            "ALTER TABLE profiles ADD search text GENERATED ALWAYS AS (lower(name)) STORED;"
            "CREATE VIEW recent AS SELECT id, created_at FROM messages"),
    Variant("hashes of every kind", "UPDATE auth.users SET encrypted_password = replace(encrypted_password, '$2a$', '$2b$')"
            " WHERE email < 'b'; UPDATE auth.users SET encrypted_password = replace(encrypted_password, '$2a$', '$2y$')"
            " WHERE email > 'y'"),
    Variant("members who are suspended",
            "CREATE TABLE user_restrictions (user_id uuid NOT NULL, restriction text NOT NULL, ends_at timestamptz);"
            "INSERT INTO user_restrictions SELECT id, 'suspended', NULL FROM profiles WHERE name LIKE 'Otto%' UNION ALL"
            " SELECT id, 'suspended', now() - interval '1 day' FROM profiles WHERE name LIKE 'Priya%'"),
    Variant("columns that came later", OLDER),
    Variant("words as enumerated types", OTHER_TYPES),
    Variant("what the sample never leaves empty", GAPS),
    Variant("older, odder and with gaps", GAPS + OLDER + OTHER_TYPES, quick=True),
    Variant("an earlier attempt at the new messaging",
            "CREATE TABLE conversations_v2 (id uuid PRIMARY KEY); CREATE TABLE messages_v2 (id uuid PRIMARY KEY)",
            refused="There is already a table public.conversations_v2"),
    Variant("an address on the profile", "ALTER TABLE profiles ADD email text",
            refused="There is already a column public.profiles.email (text)"),
    Variant("moments without a time zone", "ALTER TABLE messages ALTER created_at TYPE timestamp",
            refused="public.messages.created_at is of the type timestamp without time zone"),
    Variant("messages that nobody moderated", "ALTER TABLE messages DROP COLUMN moderation_status, DROP COLUMN deleted_at",
            refused="The column public.messages.moderation_status (text) is missing"),
    Variant("no conversation yet", "TRUNCATE conversations CASCADE"),
    Variant("no member at all", "TRUNCATE profiles CASCADE; TRUNCATE auth.users"),
)  # fmt: skip
