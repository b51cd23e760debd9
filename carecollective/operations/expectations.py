"""What the messaging tables must look like: the playbook's counts, the models' promises, and who may do what."""

from collections.abc import Mapping

from carecollective.core.text import INITIAL_MESSAGE_MIN, MESSAGE_MAX
from carecollective.postgres import ROLE_NAMES

V2_TABLES = ("conversations_v2", "messages_v2")
V1_TABLES = ("conversations", "conversation_participants", "messages")
RECORD_TABLES = (
    *("rollout_flag", "rollout_change", "rollout_proposal", "rollout_root_cause", "rollout_sign_off"),
    *("rollout_drain_certificate", "rollout_audit_entry"),
)
TABLES = (*V2_TABLES, *V1_TABLES, *RECORD_TABLES)

# The playbook's numbers, section 1.4.
COLUMNS: Mapping[str, int] = {"conversations_v2": 8, "messages_v2": 6}
INDEXES: Mapping[str, int] = {"conversations_v2": 5, "messages_v2": 3}
POLICIES = 5

WEB, OPERATIONS, GUARD = ROLE_NAMES["web"], ROLE_NAMES["ops"], ROLE_NAMES["guard"]

# What our own roles may do. Other systems' roles have grants of their own on V1's tables. The operations role may change
# two texts, for an erasure; the triggers below let it change them into one sentence only.
GRANTS: Mapping[str, Mapping[str, str]] = {
    "conversations_v2": {
        WEB: "INSERT, SELECT, UPDATE (status), UPDATE (updated_at)",
        OPERATIONS: "SELECT, UPDATE (initial_message)",
        GUARD: "nothing",
    },
    "messages_v2": {
        WEB: "INSERT, SELECT",
        OPERATIONS: "SELECT, UPDATE (content), UPDATE (updated_at)",
        GUARD: "nothing",
    },
    "conversations": {
        WEB: "INSERT, SELECT, UPDATE (last_message_at), UPDATE (updated_at)",
        OPERATIONS: "SELECT",
        GUARD: "nothing",
    },
    "conversation_participants": {WEB: "INSERT, SELECT", OPERATIONS: "SELECT", GUARD: "nothing"},
    "messages": {WEB: "INSERT, SELECT", OPERATIONS: "SELECT", GUARD: "nothing"},
    "rollout_flag": {WEB: "SELECT, UPDATE", OPERATIONS: "SELECT", GUARD: "SELECT, UPDATE"},
    "rollout_change": {WEB: "SELECT", OPERATIONS: "SELECT", GUARD: "SELECT"},
}
# From here on in PostgreSQL's own words, without the schema. What the models say of keys and indexes is not repeated.
CHECKS: Mapping[str, str] = {
    "conversations_v2_two_people": "CHECK ((NOT (requester_id = helper_id)))",
    "conversations_v2_known_status": "CHECK ((status = ANY (ARRAY['active'::text, 'closed'::text])))",
    "conversations_v2_initial_message_length": (
        f"CHECK (((length(TRIM(BOTH FROM initial_message)) >= {INITIAL_MESSAGE_MIN})"
        f" AND (length(initial_message) <= {MESSAGE_MAX})))"
    ),
    "messages_v2_content_length": (
        f"CHECK (((length(TRIM(BOTH FROM content)) >= 1) AND (length(content) <= {MESSAGE_MAX})))"
    ),
}

_ACTOR = "( SELECT current_member() AS current_member)"
_OURS_V1 = "( SELECT my_legacy_conversations() AS my_legacy_conversations)"
_TAKES_PART = f"(({_ACTOR} = {{0}}requester_id) OR ({_ACTOR} = {{0}}helper_id))"
_OPEN = "(r.status = ANY (ARRAY['open'::text, 'in_progress'::text]))"


def _policy(command: str, *, using: str = "", check: str = "", kind: str = "permissive") -> str:
    """Say a policy of the web role as the catalogue does: r reads, a adds, w changes, * is all of it."""
    return f"{command} {kind} to {WEB} using ({using}) check ({check})"


_SILENT_GATEWAY = (
    "(NULLIF(current_setting('request.jwt.claims'::text, true), ''::text) IS NULL)"
    " AND (NULLIF(current_setting('request.jwt.claim.sub'::text, true), ''::text) IS NULL)"
)
_OPENS_V1 = f"((created_by = {_ACTOR}) AND (status = 'active'::text) AND may_open_legacy_conversation(help_request_id))"
_JOINS_V1 = "((left_at IS NULL) AND (role = 'member'::text) AND opens_legacy_conversation_to(conversation_id, user_id))"
_SENDS_V1 = (
    f"((sender_id = {_ACTOR}) AND (message_type = 'text'::text)"
    " AND may_send_legacy_message(conversation_id, recipient_id))"
)


def _gate(rows: str, written: str) -> str:
    """Say the restrictive policy: the member's own rows, and nothing where the legacy gateway speaks."""
    return _policy(
        "*",
        using=f"({_SILENT_GATEWAY} AND ({rows}))",
        check=f"({_SILENT_GATEWAY} AND {written})",
        kind="restrictive",
    )


POLICY_DEFINITIONS: Mapping[str, Mapping[str, str]] = {
    "conversations_v2": {
        "participants_read": _policy("r", using=_TAKES_PART.format("")),
        "helper_opens": _policy(
            "a",
            check=(
                f"((helper_id = {_ACTOR}) AND (status = 'active'::text) AND (EXISTS ( SELECT FROM help_requests r"
                " WHERE ((r.id = conversations_v2.help_request_id) AND (r.user_id = conversations_v2.requester_id)"
                f" AND {_OPEN}))))"
            ),
        ),
        "participants_close": _policy("w", using=_TAKES_PART.format(""), check=_TAKES_PART.format("")),
    },
    "messages_v2": {
        "participants_read": _policy(
            "r",
            using=(
                "(EXISTS ( SELECT FROM conversations_v2 c WHERE ((c.id = messages_v2.conversation_id)"
                f" AND {_TAKES_PART.format('c.')})))"
            ),
        ),
        "participants_send": _policy(
            "a",
            check=(
                f"((sender_id = {_ACTOR}) AND (EXISTS ( SELECT FROM conversations_v2 c"
                " WHERE ((c.id = messages_v2.conversation_id) AND (c.status = 'active'::text)"
                f" AND {_TAKES_PART.format('c.')}))))"
            ),
        ),
    },
    "conversations": {
        "carecollective_read": _policy("r", using=f"(id IN {_OURS_V1})"),
        "carecollective_open": _policy("a", check=_OPENS_V1),
        "carecollective_bump": _policy("w", using=f"(id IN {_OURS_V1})"),
        "carecollective_gate": _gate(f"id IN {_OURS_V1}", f"((id IN {_OURS_V1}) OR {_OPENS_V1})"),
    },
    "conversation_participants": {
        "carecollective_read": _policy("r", using=f"(conversation_id IN {_OURS_V1})"),
        "carecollective_join": _policy("a", check=_JOINS_V1),
        "carecollective_gate": _gate(f"conversation_id IN {_OURS_V1}", _JOINS_V1),
    },
    "messages": {
        "carecollective_read": _policy("r", using=f"(conversation_id IN {_OURS_V1})"),
        "carecollective_send": _policy("a", check=_SENDS_V1),
        "carecollective_gate": _gate(f"conversation_id IN {_OURS_V1}", _SENDS_V1),
    },
}


def _never_reworded(table: str, column: str) -> str:
    return (
        f"BEFORE UPDATE OF {column} ON {table} FOR EACH ROW"
        f" WHEN (((new.{column} IS DISTINCT FROM old.{column}) AND (new.{column} <> privacy_erased_text())))"
        " EXECUTE FUNCTION privacy_refuse_rewording()"
    )


def _only_added_to(table: str, refused: str = "DELETE OR UPDATE") -> Mapping[str, str]:
    return {
        f"{table}_refuse_rewriting": (
            f"BEFORE {refused} ON {table} FOR EACH ROW EXECUTE FUNCTION rollout_refuse_rewriting()"
        ),
        f"{table}_refuse_emptying": (
            f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION rollout_refuse_rewriting()"
        ),
    }


def _settled_once(table: str, settled: str) -> str:
    return f"BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({settled}) EXECUTE FUNCTION rollout_refuse_settling_again()"


def _audited(table: str, settled: str = "") -> Mapping[str, str]:
    when = f" WHEN ({settled})" if settled else ""
    return {
        f"{table}_audit": (
            f"AFTER INSERT OR UPDATE ON {table} FOR EACH ROW{when} EXECUTE FUNCTION rollout_write_audit_entry()"
        )
    }


# V1's belong to the legacy system, which may have more than the one that we count on.
TRIGGERS: Mapping[str, Mapping[str, str]] = {
    "conversations_v2": {
        "conversations_v2_never_reworded": _never_reworded("conversations_v2", "initial_message"),
    },
    "messages_v2": {
        "messages_v2_never_reworded": _never_reworded("messages_v2", "content"),
    },
    "messages": {
        "bump_conversation": "AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION bump_conversation()",
    },
    "rollout_flag": {
        "rollout_flag_number_change": (
            "BEFORE INSERT OR UPDATE ON rollout_flag FOR EACH ROW EXECUTE FUNCTION rollout_number_change()"
        ),
        "rollout_flag_record_change": (
            "AFTER INSERT OR DELETE OR UPDATE ON rollout_flag FOR EACH ROW EXECUTE FUNCTION rollout_record_change()"
        ),
    },
    "rollout_change": {
        "rollout_change_chain": "BEFORE INSERT ON rollout_change FOR EACH ROW EXECUTE FUNCTION rollout_chain_change()",
        "rollout_change_open_root_cause": (
            "AFTER INSERT ON rollout_change FOR EACH ROW"
            " WHEN (((new.to_stage = 'disabled'::text) AND (new.from_stage <> 'disabled'::text)))"
            " EXECUTE FUNCTION rollout_open_root_cause()"
        ),
        **_only_added_to("rollout_change"),
    },
    "rollout_proposal": {
        **_only_added_to("rollout_proposal", "DELETE"),
        "rollout_proposal_settle_once": _settled_once("rollout_proposal", "(old.state <> 'pending'::text)"),
        **_audited("rollout_proposal"),
    },
    "rollout_root_cause": {
        **_only_added_to("rollout_root_cause", "DELETE"),
        "rollout_root_cause_settle_once": _settled_once("rollout_root_cause", "(old.filed_at IS NOT NULL)"),
        **_audited("rollout_root_cause", "(new.filed_at IS NOT NULL)"),
    },
    "rollout_sign_off": {**_only_added_to("rollout_sign_off"), **_audited("rollout_sign_off")},
    "rollout_drain_certificate": _only_added_to("rollout_drain_certificate"),
    "rollout_audit_entry": {
        "rollout_audit_entry_chain": (
            "BEFORE INSERT ON rollout_audit_entry FOR EACH ROW EXECUTE FUNCTION rollout_chain_audit_entry()"
        ),
        **_only_added_to("rollout_audit_entry"),
    },
}
# What these policies and triggers run: in whose name, and a digest of the body with its settings. Whoever changes a function
# in a migration takes its new digest from what the verification finds. The legacy system's function is its own business.
FUNCTIONS: Mapping[str, str] = {
    "current_member()": "invoker of the owner: 97f8ee123bbf85fa8f21c3ca28f0f81c",
    "may_open_legacy_conversation(uuid)": "definer of the owner: 8114cb54ea5621cf6d644fd11fa26635",
    "may_send_legacy_message(uuid,uuid)": "definer of the owner: d6fa4d65a0e144269f78b3c6f58f8a7f",
    "my_legacy_conversations()": "definer of the owner: 42040b20f2f68f502e01465ca44925ca",
    "opens_legacy_conversation_to(uuid,uuid)": "definer of the owner: 1962188a5f033ab8feaf184757395e25",
    "privacy_erased_text()": "invoker of the owner: 47f81aa96b585329ef9e03cb541b5b77",
    "privacy_refuse_rewording()": "invoker of the owner: 80d654aa7489f74cb0a386a646340c19",
    "rollout_approved(bigint,text,text,uuid,text,boolean)": "invoker of the owner: 2412110ab0ddada3944189fc54eedc8c",
    "rollout_audit_hash(rollout_audit_entry,text)": "invoker of the owner: fc3378a77005094b1ce64eb43168262e",
    "rollout_chain_audit_entry()": "invoker of the owner: edc998fb3f43d94784b58af02e472668",
    "rollout_chain_change()": "invoker of the owner: 96d4f3a626b728266536f0fc36481605",
    "rollout_change_hash(rollout_change,text)": "invoker of the owner: 2e57fbe2dee4cc0a12270e6a2252c2e2",
    "rollout_is_proven(text,text[],timestamp with time zone)": "definer of the owner: 0d4e382d650f76e5ef7e311c6396fc03",
    "rollout_number_change()": "invoker of the owner: b13264a1cd0873373c07198b66fc71f4",
    "rollout_open_root_cause()": "definer of the owner: bd4c5e11282435de770e304b6c1be022",
    "rollout_record_change()": "definer of the owner: f91c34207a4a2907558fb536c37cb61c",
    "rollout_refuse_rewriting()": "invoker of the owner: 7c44801e4246bf044d0f458f0f99ad44",
    "rollout_refuse_settling_again()": "invoker of the owner: d7cf1be341166a736c4fc5d98f454734",
    "rollout_staff_may(uuid,text)": "invoker of the owner: 0977d2afb8330bcf02b2c70b7ba7db06",
    "rollout_stage_order(text)": "invoker of the owner: b08cce30dac189c519603212a9394cfc",
    "rollout_write_audit_entry()": "definer of the owner: 9edb49aedca38b9cbb6d9e3d2e87131e",
}
