"""The rows that the probes attack: conversations of both versions, and members who take no part in them."""

from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

import psycopg
from psycopg import sql

PEOPLE = ("requester", "helper", "other_helper", "leaver", "outsider", "staff", "administrator")
STAFF = ("staff", "administrator")
# Requests are the requester's own; their names say how they stand.
REQUESTS = {
    "talked_about": "open",
    "also_talked_about": "open",
    "fresh": "open",
    "in_progress": "in_progress",
    "completed": "completed",
    "cancelled": "cancelled",
    "closed": "closed",
}
V2_CONVERSATIONS = {
    # name: request, helper, status
    "active_v2": ("talked_about", "helper", "active"),
    "closed_v2": ("also_talked_about", "helper", "closed"),
    "others_v2": ("talked_about", "other_helper", "active"),
}
V1_CONVERSATIONS = {
    # name: request, creator, status, other participants, who has left
    "active_v1": ("talked_about", "helper", "active", ("requester",), ()),
    "closed_v1": ("also_talked_about", "helper", "closed", ("requester",), ()),
    "others_v1": ("talked_about", "other_helper", "active", ("requester",), ()),
    "left_v1": ("talked_about", "leaver", "active", ("requester",), ("leaver",)),
    # What the legacy failure left: nobody but the creator, and no message.
    "orphan_v1": ("fresh", "other_helper", "active", (), ()),
}
MESSAGES = (*(f"in_{name}" for name in V2_CONVERSATIONS), *(f"in_{name}" for name in V1_CONVERSATIONS))
# The requester has reported what the helper said, and asked for a copy of her own data.
KEPT = ("report", "export", "block")
# Names without rows, for what a probe tries to add.
NEW = ("new", "another_new")


def name_uuid(name: str) -> UUID:
    return uuid5(NAMESPACE_DNS, f"{name}.example.org")


WORLD = {
    name: name_uuid(name) for name in (*PEOPLE, *REQUESTS, *V2_CONVERSATIONS, *V1_CONVERSATIONS, *MESSAGES, *KEPT, *NEW)
}


def populate(connection: psycopg.Connection[Any]) -> None:
    """Write the world's rows as the superuser, and commit them.

    Everybody may make temporary things here, as on a server whose owner never took that away: the policies hold there too.
    """
    with connection.transaction():
        connection.execute(
            sql.SQL("GRANT TEMPORARY ON DATABASE {} TO PUBLIC").format(sql.Identifier(connection.info.dbname))
        )
        for person in PEOPLE:
            connection.execute(
                "INSERT INTO profiles (id, name, email, verification_status, is_admin, is_superuser)"
                " VALUES (%s, %s, %s, 'approved', %s, %s)",
                [
                    *(WORLD[person], person, f"{person}@world.example.org"),
                    *(person in STAFF, person == "administrator"),
                ],
            )
        for request, status in REQUESTS.items():
            connection.execute(
                "INSERT INTO help_requests (id, user_id, title, category, urgency, status)"
                " VALUES (%s, %s, 'Please help', 'other', 'normal', %s)",
                [WORLD[request], WORLD["requester"], status],
            )
        for name, (request, helper, status) in V2_CONVERSATIONS.items():
            connection.execute(
                "INSERT INTO conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message, status)"
                " VALUES (%s, %s, %s, %s, 'I can help you.', %s)",
                [WORLD[name], WORLD[request], WORLD["requester"], WORLD[helper], status],
            )
            connection.execute(
                "INSERT INTO messages_v2 (id, conversation_id, sender_id, content) VALUES (%s, %s, %s, 'A secret.')",
                [WORLD[f"in_{name}"], WORLD[name], WORLD[helper]],
            )
        for name, (request, creator, status, others, left) in V1_CONVERSATIONS.items():
            connection.execute(
                "INSERT INTO conversations (id, help_request_id, created_by, status) VALUES (%s, %s, %s, %s)",
                [WORLD[name], WORLD[request], WORLD[creator], status],
            )
            for person in (creator, *others):
                connection.execute(
                    "INSERT INTO conversation_participants (conversation_id, user_id, left_at)"
                    " VALUES (%s, %s, CASE WHEN %s THEN now() END)",
                    [WORLD[name], WORLD[person], person in left],
                )
            for recipient in others:
                connection.execute(
                    "INSERT INTO messages (id, conversation_id, sender_id, recipient_id, content)"
                    " VALUES (%s, %s, %s, %s, 'A legacy secret.')",
                    [WORLD[f"in_{name}"], WORLD[name], WORLD[creator], WORLD[recipient]],
                )
        connection.execute(
            "INSERT INTO moderation_report (id, version, conversation_id, message_id, reason, words, status, reporter_id,"
            " author_id) VALUES (%(report)s, 'v2', %(active_v2)s, %(in_active_v2)s, 'other', 'A secret.', 'pending',"
            " %(requester)s, %(helper)s)",
            WORLD,
        )
        # The leaver wants nothing from the outsider; the requester has closed a legacy conversation with the other helper.
        connection.execute(
            "INSERT INTO safety_block (id, blocker_id, blocked_id) VALUES (%(block)s, %(leaver)s, %(outsider)s)", WORLD
        )
        connection.execute(
            "INSERT INTO safety_closing (conversation_id, version, closed_by_id)"
            " VALUES (%(others_v1)s, 'v1', %(requester)s), (%(closed_v2)s, 'v2', %(requester)s)",
            WORLD,
        )
        connection.execute(
            "INSERT INTO moderation_look (report_id, is_legacy, staff_id) VALUES (%(report)s, false, %(staff)s)", WORLD
        )
        connection.execute(
            "INSERT INTO privacy_export (id, member_id, requested_by_id, state, attempts, done)"
            " VALUES (%(export)s, %(requester)s, %(requester)s, 'ready', 1, 1)",
            WORLD,
        )
        connection.execute(
            "INSERT INTO privacy_exportfile (export_id, member_id, content) VALUES (%(export)s, %(requester)s, 'A secret.')",
            WORLD,
        )
    # So that there are statistics to be kept from those who may not read the rows.
    connection.execute("ANALYZE conversations_v2, messages_v2, conversations, conversation_participants, messages")
