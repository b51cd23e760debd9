"""Breaks one policy, grant, function, attribute or constraint at a time, and asks the probes whether they notice.

`python -m tests.policies.mutants` prints which probes caught each. Every break is made in a transaction that is rolled
back, attributes of roles included, so that nobody else on the server ever sees one.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import psycopg

from tests.policies.probe import Probe, observe

ACTOR = "(SELECT public.current_member())"
MINE_V2 = f"{ACTOR} IN (requester_id, helper_id)"
MINE_V1 = "id IN (SELECT public.my_legacy_conversations())"
OPEN_REQUEST = (
    "EXISTS (SELECT FROM help_requests r WHERE r.id = conversations{v}.help_request_id AND {owner}"
    " AND r.status IN ('open', 'in_progress'))"
)
ACTIVE_V2 = (
    "EXISTS (SELECT FROM conversations_v2 c WHERE c.id = messages_v2.conversation_id AND c.status = 'active'"
    f" AND {ACTOR} IN (c.requester_id, c.helper_id))"
)
ACTIVE_V1 = "EXISTS (SELECT FROM conversations c WHERE c.id = messages.conversation_id AND c.status = 'active')"
ANY_RECIPIENT_V1 = (
    "EXISTS (SELECT FROM conversation_participants p WHERE p.conversation_id = messages.conversation_id"
    " AND p.user_id = messages.recipient_id AND p.user_id <> messages.sender_id)"
)
RECIPIENT_V1 = ANY_RECIPIENT_V1.replace("sender_id)", "sender_id AND p.left_at IS NULL)")
GATEWAY_IS_SILENT = (
    "NULLIF(current_setting('request.jwt.claims', true), '') IS NULL"
    " AND NULLIF(current_setting('request.jwt.claim.sub', true), '') IS NULL"
)
# Of each table of V1: what the gate lets our web role see and change, and what it lets it write.
ROWS: dict[str, tuple[str, str]] = import_module(
    "messaging_v1.migrations.0005_limit_the_gate_to_own_conversations"
).ROWS
OPENS = "public.opens_legacy_conversation_to(conversation_id, user_id)"
V1_OPEN_OTHERS = OPEN_REQUEST.format(v="", owner=f"r.user_id <> {ACTOR}")
V2_OPEN_REQUESTERS = OPEN_REQUEST.format(v="_v2", owner="r.user_id = conversations_v2.requester_id")


@dataclass(frozen=True, slots=True)
class Mutant:
    breaks: str
    statements: str


def replace(table: str, policy: str, definition: str) -> str:
    return f"DROP POLICY {policy} ON {table}; CREATE POLICY {policy} ON {table} {definition};"


def limit_v1(table: str, *, using: str | None = None, check: str | None = None) -> str:
    """Break a part of V1's gate, which holds every limit; what is not given stays as it is."""
    rows, written = ROWS[table]
    if check and table == "conversations":
        # The legacy trigger writes to it again with each message.
        check = f"{MINE_V1} OR ({check})"
    return (
        f"ALTER POLICY carecollective_gate ON {table} USING ({GATEWAY_IS_SILENT} AND ({using or rows}))"
        f" WITH CHECK ({GATEWAY_IS_SILENT} AND ({check or written}));"
    )


def open_gate(table: str) -> str:
    # But for the legacy gateway: the probes of that would notice every mutant alike.
    return limit_v1(table, using="true", check="true")


def for_web(command: str, *, using: str = "", check: str = "") -> str:
    clauses = (f" USING ({using})" if using else "") + (f" WITH CHECK ({check})" if check else "")
    return f"FOR {command} TO carecollective_web{clauses}"


def actor_function(body: str, attributes: str = "STABLE SET search_path = ''") -> str:
    return f"CREATE OR REPLACE FUNCTION public.current_member() RETURNS uuid LANGUAGE sql {attributes} AS $$ {body} $$;"


def legacy_function(name: str, returns: str, body: str, search_path: str = "SET search_path = ''") -> str:
    # CREATE OR REPLACE keeps the owner, on whose rights these functions run.
    return (
        f"CREATE OR REPLACE FUNCTION public.{name} RETURNS {returns} LANGUAGE sql STABLE SECURITY DEFINER {search_path}"
        f" AS $$ {body} $$;"
    )


def opens(condition: str) -> str:
    return legacy_function(
        "opens_legacy_conversation_to(conversation uuid, member uuid)",
        "boolean",
        "SELECT EXISTS (SELECT FROM public.conversations c JOIN public.help_requests r ON r.id = c.help_request_id"
        f" WHERE {condition})",
    )


def may_open(condition: str) -> str:
    return legacy_function(
        "may_open_legacy_conversation(help_request uuid)",
        "boolean",
        f"SELECT EXISTS (SELECT FROM public.help_requests r WHERE {condition})",
    )


ME_IN_V1 = "me.user_id = public.current_member() AND me.left_at IS NULL"
OTHER_IN_V1 = "other.user_id = recipient"


def may_send(condition: str) -> str:
    return legacy_function(
        "may_send_legacy_message(conversation uuid, recipient uuid)",
        "boolean",
        "SELECT EXISTS (SELECT FROM public.conversations c"
        " JOIN public.conversation_participants me ON me.conversation_id = c.id"
        " JOIN public.conversation_participants other ON other.conversation_id = c.id"
        f" WHERE c.id = conversation AND {condition})",
    )


SETTING = "pg_catalog.current_setting('app.user_id', true)"

THE_ACTOR = (
    Mutant("the actor is always one and the same member", actor_function(
        "SELECT id FROM public.profiles WHERE email = 'helper@world.example.org'")),
    Mutant("without an actor some member acts", actor_function(
        f"SELECT coalesce(NULLIF({SETTING}, '')::uuid, (SELECT requester_id FROM public.conversations_v2 LIMIT 1),"
        " (SELECT id FROM public.profiles WHERE email = 'helper@world.example.org'))")),
    Mutant("an empty actor is an error", actor_function(f"SELECT {SETTING}::uuid")),
    Mutant("a garbage actor is nobody", actor_function(
        f"SELECT CASE WHEN {SETTING} ~ '^[0-9a-f-]{{36}}$' THEN {SETTING}::uuid END")),
    Mutant("the actor is planned into prepared statements", actor_function(
        f"SELECT NULLIF({SETTING}, '')::uuid", "IMMUTABLE SET search_path = ''")),
)  # fmt: skip

V2_POLICIES = (
    Mutant("V2 conversations are read by everybody",
           replace("conversations_v2", "participants_read", for_web("SELECT", using="true"))),
    Mutant("V2 conversations are read by every member",
           replace("conversations_v2", "participants_read", for_web("SELECT", using=f"{ACTOR} IS NOT NULL"))),
    Mutant("V2 conversations are read by the helper alone",
           replace("conversations_v2", "participants_read", for_web("SELECT", using=f"helper_id = {ACTOR}"))),
    Mutant("V2 conversations about one's own requests and those of their helpers are mixed up",
           replace("conversations_v2", "participants_read", for_web("SELECT", using=f"""{ACTOR} IN (requester_id, helper_id)
             OR help_request_id IN (SELECT r.id FROM help_requests r WHERE r.user_id <> {ACTOR})"""))),
    Mutant("whoever opens a V2 conversation may name another helper",
           replace("conversations_v2", "helper_opens", for_web(
               "INSERT", check=f"{ACTOR} IS NOT NULL AND status = 'active' AND {V2_OPEN_REQUESTERS}"))),
    Mutant("whoever opens a V2 conversation may name another requester",
           replace("conversations_v2", "helper_opens", for_web(
               "INSERT", check=f"helper_id = {ACTOR} AND status = 'active' AND {OPEN_REQUEST.format(v='_v2', owner='true')}"))),
    Mutant("a V2 conversation is opened about any request",
           replace("conversations_v2", "helper_opens", for_web(
               "INSERT", check=f"helper_id = {ACTOR} AND status = 'active' AND EXISTS (SELECT FROM help_requests r"
               " WHERE r.id = conversations_v2.help_request_id AND r.user_id = conversations_v2.requester_id)"))),
    Mutant("a V2 conversation may be born closed",
           replace("conversations_v2", "helper_opens", for_web(
               "INSERT", check=f"helper_id = {ACTOR} AND {V2_OPEN_REQUESTERS}"))),
    Mutant("everybody closes V2 conversations",
           replace("conversations_v2", "participants_close", for_web("UPDATE", using="true", check="true"))),
    Mutant("every member closes V2 conversations",
           replace("conversations_v2", "participants_close", for_web("UPDATE", using=f"{ACTOR} IS NOT NULL"))),
    Mutant("nobody closes or locks V2 conversations", "DROP POLICY participants_close ON conversations_v2"),
    Mutant("V2 messages are read by everybody",
           replace("messages_v2", "participants_read", for_web("SELECT", using="true"))),
    Mutant("V2 messages are read by every member",
           replace("messages_v2", "participants_read", for_web("SELECT", using=f"{ACTOR} IS NOT NULL"))),
    Mutant("V2 messages are read by their senders alone",
           replace("messages_v2", "participants_read", for_web("SELECT", using=f"sender_id = {ACTOR}"))),
    Mutant("a V2 message may be sent in another's name",
           replace("messages_v2", "participants_send", for_web("INSERT", check=ACTIVE_V2))),
    Mutant("a V2 message goes into any conversation",
           replace("messages_v2", "participants_send", for_web("INSERT", check=f"sender_id = {ACTOR}"))),
    Mutant("a V2 message goes into a closed conversation",
           replace("messages_v2", "participants_send", for_web(
               "INSERT", check=f"sender_id = {ACTOR} AND {ACTIVE_V2.replace(' AND c.status = ' + repr('active'), '')}"))),
    Mutant("a new policy lets everybody change V2 messages",
           "CREATE POLICY moderators ON messages_v2 FOR UPDATE TO carecollective_web USING (true);"
           " GRANT UPDATE (content) ON messages_v2 TO carecollective_web"),
)  # fmt: skip

V1_POLICIES = (
    *(
        Mutant(f"{table} is read by everybody",
               limit_v1(table, using="true"))
        for table in ("conversations", "conversation_participants", "messages")
    ),
    *(
        Mutant(f"{table} is read by every member",
               limit_v1(table, using=f"{ACTOR} IS NOT NULL"))
        for table in ("conversations", "conversation_participants", "messages")
    ),
    Mutant("a member sees his own participation only, as in the legacy system",
           limit_v1("conversation_participants", using=f"user_id = {ACTOR}")),
    Mutant("a V1 conversation may have a forged creator",
           limit_v1("conversations", check=f"{ACTOR} IS NOT NULL AND status = 'active' AND {V1_OPEN_OTHERS}")),
    Mutant("V1 help is offered on one's own request",
           limit_v1("conversations", check=f"created_by = {ACTOR} AND status = 'active' AND {OPEN_REQUEST.format(v='', owner='true')}")),
    Mutant("a V1 conversation is opened about any request",
           limit_v1("conversations", check=f"created_by = {ACTOR} AND status = 'active' AND EXISTS (SELECT FROM help_requests r"
               f" WHERE r.id = conversations.help_request_id AND r.user_id <> {ACTOR})")),
    Mutant("a V1 conversation needs no request",
           limit_v1("conversations", check=f"created_by = {ACTOR} AND status = 'active' AND (help_request_id IS NULL OR {V1_OPEN_OTHERS})")),
    Mutant("a V1 conversation may be born closed",
           limit_v1("conversations", check=f"created_by = {ACTOR} AND {V1_OPEN_OTHERS}")),
    Mutant("the legacy trigger may bump nothing", "DROP POLICY carecollective_bump ON conversations"),
    Mutant("everybody joins V1 conversations",
           limit_v1("conversation_participants", check="left_at IS NULL AND role = 'member'")),
    Mutant("everybody joins V1 conversations for themselves, as in the legacy system",
           limit_v1("conversation_participants", check=f"left_at IS NULL AND role = 'member' AND (user_id = {ACTOR} OR {OPENS})")),
    Mutant("whoever opens a V1 conversation may make moderators",
           limit_v1("conversation_participants", check=f"left_at IS NULL AND {OPENS}")),
    Mutant("whoever opens a V1 conversation may add people who have left",
           limit_v1("conversation_participants", check=f"role = 'member' AND {OPENS}")),
    Mutant("a V1 message may be sent in another's name",
           limit_v1("messages", check=f"message_type = 'text' AND {ACTIVE_V1} AND {RECIPIENT_V1}")),
    Mutant("a V1 message goes into a closed conversation",
           limit_v1("messages", check=f"sender_id = {ACTOR} AND message_type = 'text'"
               f" AND {RECIPIENT_V1}")),
    Mutant("a V1 message goes to anybody",
           limit_v1("messages", check=f"sender_id = {ACTOR} AND message_type = 'text' AND {ACTIVE_V1}")),
    Mutant("a V1 message goes to one who left",
           limit_v1("messages", check=f"sender_id = {ACTOR} AND message_type = 'text' AND {ACTIVE_V1} AND {ANY_RECIPIENT_V1}")),
    Mutant("a member may write as the system",
           limit_v1("messages", check=f"sender_id = {ACTOR} AND {ACTIVE_V1} AND {RECIPIENT_V1}")),
    *(
        Mutant(f"the legacy gateway's claims count in {table}", f"DROP POLICY carecollective_gate ON {table}")
        for table in ("conversations", "conversation_participants", "messages")
    ),
    Mutant("who left goes on reading V1", legacy_function("my_legacy_conversations()", "SETOF uuid",
        "SELECT conversation_id FROM public.conversation_participants WHERE user_id = public.current_member()")),
    Mutant("the list of participants is taken from wherever it is found", legacy_function(
        "my_legacy_conversations()", "SETOF uuid",
        "SELECT conversation_id FROM conversation_participants WHERE user_id = public.current_member() AND left_at IS NULL",
        "")),
    Mutant("the tables of V1 are taken from wherever they are found", legacy_function(
        "opens_legacy_conversation_to(conversation uuid, member uuid)", "boolean",
        "SELECT EXISTS (SELECT FROM conversations c JOIN help_requests r ON r.id = c.help_request_id WHERE c.id = conversation"
        " AND c.created_by = public.current_member() AND member IN (c.created_by, r.user_id))", "")),
    Mutant("everybody lets people into V1 conversations", opens(
        "c.id = conversation AND member IN (c.created_by, r.user_id)")),
    Mutant("a creator lets anybody into a V1 conversation", opens(
        "c.id = conversation AND c.created_by = public.current_member()")),
    Mutant("V1 help is offered on any request there is", may_open(
        "r.id = help_request AND r.user_id <> public.current_member()")),
    Mutant("V1 help is offered on one's own request, by the function", may_open(
        "r.id = help_request AND r.status IN ('open', 'in_progress')")),
    Mutant("a V1 message goes into a closed conversation, by the function", may_send(
        f"{ME_IN_V1} AND {OTHER_IN_V1} AND other.left_at IS NULL AND recipient <> public.current_member()")),
    Mutant("a V1 message goes to one who left, by the function", may_send(
        f"c.status = 'active' AND {ME_IN_V1} AND {OTHER_IN_V1} AND recipient <> public.current_member()")),
    Mutant("a V1 message goes to oneself", may_send(
        f"c.status = 'active' AND {ME_IN_V1} AND {OTHER_IN_V1} AND other.left_at IS NULL")),
    Mutant("an outsider sends in V1", may_send(
        f"c.status = 'active' AND {OTHER_IN_V1} AND other.left_at IS NULL AND recipient <> public.current_member()")),
    *(Mutant(f"everybody calls {function}", f"GRANT EXECUTE ON FUNCTION public.{function} TO PUBLIC")
      for function in ("my_legacy_conversations()", "opens_legacy_conversation_to(uuid, uuid)",
                       "may_open_legacy_conversation(uuid)", "may_send_legacy_message(uuid, uuid)")),
)  # fmt: skip

ALL_TABLES = ("conversations_v2", "messages_v2", "conversations", "conversation_participants", "messages")
RIGHTS = (
    *(Mutant(f"row-level security is off on {table}", f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY") for table in ALL_TABLES),
    *(Mutant(f"it is not forced on {table}", f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY") for table in ALL_TABLES[:2]),
    *(Mutant(f"the web owns {table}", f"ALTER TABLE {table} OWNER TO carecollective_web") for table in ALL_TABLES),
    *(Mutant(f"the web may {right} {table}", f"GRANT {right} ON {table} TO carecollective_web")
      for table in ALL_TABLES for right in ("DELETE", "TRUNCATE", "UPDATE")),
    *(Mutant(f"the web may change {column} in V2", f"GRANT UPDATE ({column}) ON conversations_v2 TO carecollective_web")
      for column in ("helper_id", "requester_id", "initial_message", "help_request_id", "created_at", "id")),
    Mutant("the web may not lock a V2 conversation",
           "REVOKE UPDATE (status, updated_at) ON conversations_v2 FROM carecollective_web"),
    Mutant("the web may not write what the legacy trigger keeps",
           "REVOKE UPDATE (last_message_at, updated_at) ON conversations FROM carecollective_web"),
    *(Mutant(f"the guard may read {table}", f"GRANT SELECT ON {table} TO carecollective_guard") for table in ALL_TABLES),
    Mutant("everybody may read V2 messages", "GRANT SELECT ON messages_v2 TO PUBLIC"),
    Mutant("the web may read the legacy sign-ins",
           "GRANT USAGE ON SCHEMA auth TO carecollective_web; GRANT SELECT ON auth.users TO carecollective_web"),
    Mutant("the web may make tables among ours", "GRANT CREATE ON SCHEMA public TO carecollective_web"),
    Mutant("the web owns the function that every policy asks",
           "GRANT CREATE ON SCHEMA public TO carecollective_web;"
           " ALTER FUNCTION public.current_member() OWNER TO carecollective_web"),
    Mutant("operations see no row, and dump none", "ALTER ROLE carecollective_ops NOBYPASSRLS"),
    Mutant("the web bypasses policies", "ALTER ROLE carecollective_web BYPASSRLS"),
    Mutant("the web is a superuser", "ALTER ROLE carecollective_web SUPERUSER"),
    *(Mutant(f"the web belongs to {role}", f"GRANT {role} TO carecollective_web")
      for role in ("carecollective_owner", "carecollective_ops", "carecollective_guard")),
    Mutant("the web reads every table there is", "GRANT pg_read_all_data TO carecollective_web"),
    Mutant("the web writes every table there is", "GRANT pg_write_all_data TO carecollective_web"),
    Mutant("the web reads the server's files", "GRANT pg_read_server_files TO carecollective_web;"
           " GRANT EXECUTE ON FUNCTION pg_read_file(text) TO carecollective_web"),
    Mutant("the web runs programs", "GRANT pg_execute_server_program TO carecollective_web"),
)  # fmt: skip

CONSTRAINTS = tuple(
    Mutant(f"the constraint {name} is gone", f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for table, names in {
        "conversations_v2": (
            "conversations_v2_one_per_pair",
            "conversations_v2_two_people",
            "conversations_v2_known_status",
            "conversations_v2_initial_message_length",
        ),
        "messages_v2": ("messages_v2_content_length",),
    }.items()
    for name in names
)

STAFF = "(SELECT public.acts_as_staff())"
STAFF_TABLES = ("moderation_report", "moderation_look", "privacy_export", "privacy_exportfile")


def staff_function(condition: str) -> str:
    return legacy_function(
        "acts_as_staff()", "boolean", f"SELECT EXISTS (SELECT FROM public.profiles p WHERE {condition})"
    )


REPORTS_AND_EXPORTS = (
    *(Mutant(f"row-level security is off on {table}", f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
      for table in STAFF_TABLES),
    *(Mutant(f"a new policy lets everybody read {table}",
             f"CREATE POLICY anybody ON {table} FOR SELECT TO carecollective_web USING (true)") for table in STAFF_TABLES),
    *(Mutant(f"the web may {right} {table}", f"GRANT {right} ON {table} TO carecollective_web")
      for table in STAFF_TABLES for right in ("DELETE",)),
    Mutant("every member is staff", staff_function("p.id = public.current_member()")),
    Mutant("whoever was staff stays it", staff_function("p.id = public.current_member() AND p.is_admin IS NOT NULL")),
    Mutant("without an actor one is staff", staff_function(
        "p.is_admin AND p.is_active AND p.id = coalesce(public.current_member(), p.id)")),
    Mutant("reports are read by staff alone", replace(
        "moderation_report", "reporter_and_staff_read", for_web("SELECT", using=STAFF))),
    Mutant("reports are read by whom they are about", replace(
        "moderation_report", "reporter_and_staff_read", for_web("SELECT", using=f"{ACTOR} IN (reporter_id, author_id) OR {STAFF}"))),
    Mutant("a report may be made in another's name", replace(
        "moderation_report", "reporter_reports", for_web("INSERT", check=f"{ACTOR} IS NOT NULL AND status = 'pending'"))),
    Mutant("a report may be born settled", replace(
        "moderation_report", "reporter_reports", for_web("INSERT", check=f"reporter_id = {ACTOR}"))),
    Mutant("who reported settles", replace("moderation_report", "staff_settle", for_web(
        "UPDATE", using=f"{STAFF} OR reporter_id = {ACTOR}", check="true"))),
    Mutant("staff settle in a colleague's name", replace("moderation_report", "staff_settle", for_web(
        "UPDATE", using=STAFF, check=STAFF))),
    Mutant("a copy is asked for in another's name", replace("privacy_export", "member_or_staff_ask", for_web(
        "INSERT", check=f"member_id = {ACTOR} OR {STAFF}"))),
    Mutant("everybody asks for everybody's copy", replace("privacy_export", "member_or_staff_ask", for_web(
        "INSERT", check=f"requested_by_id = {ACTOR}"))),
    Mutant("staff move a copy on", replace("privacy_export", "made_in_the_members_name", for_web(
        "UPDATE", using=f"member_id = {ACTOR} OR {STAFF}"))),
    Mutant("a copy may be given to another", "GRANT UPDATE (member_id) ON privacy_export TO carecollective_web;"
           + replace("privacy_export", "made_in_the_members_name", for_web("UPDATE", using="true", check="true"))),
    Mutant("staff open the copies that they asked for", replace("privacy_exportfile", "member_downloads", for_web(
        "SELECT", using=f"member_id = {ACTOR} OR {STAFF}"))),
    Mutant("the web calls what erases without asking who acts",
           "ALTER FUNCTION public.privacy_erase_member(uuid) RENAME TO asked_first;"
           " ALTER FUNCTION public.privacy_scrub_member(uuid) RENAME TO privacy_erase_member;"
           " GRANT EXECUTE ON FUNCTION public.privacy_erase_member(uuid) TO carecollective_web"),
    Mutant("what staff did may be changed", "GRANT UPDATE ON django_admin_log TO carecollective_web"),
    Mutant("what staff did may be deleted", "GRANT DELETE ON django_admin_log TO carecollective_web"),
    Mutant("the web sets how long things are kept", "GRANT UPDATE ON core_retentionperiod TO carecollective_web"),
    Mutant("the web stores large objects", "GRANT EXECUTE ON FUNCTION lo_create(oid) TO PUBLIC"),
    Mutant("the worker says how old is too old",
           "CREATE FUNCTION public.rollout_prune_events(days integer) RETURNS bigint LANGUAGE sql SECURITY DEFINER"
           " SET search_path = '' AS $$ SELECT 0::bigint $$"),
)  # fmt: skip

MUTANTS = (*THE_ACTOR, *V2_POLICIES, *V1_POLICIES, *RIGHTS, *REPORTS_AND_EXPORTS, *CONSTRAINTS)


def catch(connection: psycopg.Connection[Any], mutant: Mutant | None, probes: Sequence[Probe]) -> Iterator[Probe]:
    """Yield the probes that notice the mutant; without one, those that are wrong. `connection` is a fresh superuser's."""
    with connection.transaction(force_rollback=True):
        if mutant is not None:
            connection.execute(mutant.statements.encode())
        for probe in probes:
            if observe(connection, probe, impersonate=True) != probe.expected:
                yield probe


def main() -> int:
    """Print which probes caught each mutant; fail when one was caught by none."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    from django.conf import settings

    from tests import databases
    from tests.migrations.legacy import prepare_taken_over_template
    from tests.policies.probes import PROBES
    from tests.policies.world import populate

    name = f"test_{os.getpid()}"
    databases.recreate(settings.DATA_DIR, name, prepare_taken_over_template(settings.DATA_DIR))
    url = databases.superuser_url(settings.DATA_DIR, name)
    survivors = 0
    try:
        with psycopg.connect(url, autocommit=True) as superuser:
            populate(superuser)
        for mutant in (None, *MUTANTS):
            with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
                caught = list(catch(connection, mutant, PROBES))
            survivors += bool(caught) if mutant is None else not caught
            print(f"{mutant.breaks if mutant else 'nothing broken'}: {len(caught)}")
            for probe in caught[:3]:
                print(f"    {probe.proves}")
            if len(caught) > 3:
                print(f"    … and {len(caught) - 3} more")
    finally:
        databases.drop(settings.DATA_DIR, name)
    print(f"{len(MUTANTS)} mutants, {survivors} not caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
