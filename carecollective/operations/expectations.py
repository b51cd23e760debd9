"""What the messaging tables must look like: the playbook's counts, the models' promises, and who may do what."""

from collections.abc import Mapping

from carecollective.postgres import ROLE_NAMES

V2_TABLES = ("conversations_v2", "messages_v2")
V1_TABLES = ("conversations", "conversation_participants", "messages")
RECORD_TABLES = ("rollout_flag", "rollout_change")
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
# V1's belong to the legacy system, which may have more than the one that we count on.
TRIGGERS: Mapping[str, frozenset[str]] = {
    "conversations_v2": frozenset({"conversations_v2_never_reworded"}),
    "messages_v2": frozenset({"messages_v2_never_reworded"}),
    "messages": frozenset({"bump_conversation"}),
    "rollout_flag": frozenset({"rollout_flag_number_change", "rollout_flag_record_change"}),
    "rollout_change": frozenset(
        {
            "rollout_change_chain",
            "rollout_change_open_root_cause",
            "rollout_change_refuse_emptying",
            "rollout_change_refuse_rewriting",
        }
    ),
}
