"""A zip with all of a member's own data, as JSON for programs and as a page for people.

It is read as the member, under the same policies as their pages: it shows nothing that they could not see.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time
from io import BytesIO
from typing import Any
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile

from django.db import connection
from django.template.loader import render_to_string

from carecollective.accounts.models import User
from carecollective.core.database import acting_as, fetch_all
from carecollective.core.pagination import Cursor
from carecollective.inbox.records import ConversationRow, MessageRecord
from carecollective.inbox.selectors import list_conversations, open_thread
from carecollective.moderation.models import Report
from carecollective.moderation.selectors import list_notices
from carecollective.safety.selectors import list_blocked
from rollout.targeting.cohort import v2_is_installed

Row = dict[str, Any]

# The legacy system wrote these messages itself, under a member's id.
SYSTEM_AUTHOR: Row = {"by_me": False, "by": None, "system": True}

# Hidden by staff from everybody else. The first message of a V2 conversation goes by the conversation's id.
_OWN_HIDDEN = """
SELECT m.id, m.content FROM messages_v2 m JOIN safety_hiddenmessage h ON h.message_id = m.id WHERE m.sender_id = %s
UNION ALL
SELECT c.id, c.initial_message FROM conversations_v2 c
JOIN safety_hiddenmessage h ON h.conversation_id = c.id AND h.message_id IS NULL WHERE c.helper_id = %s
"""

STYLE = """\
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }
section, article { margin-block: 2rem; }
dt { font-weight: 600; } dd { margin: 0 0 0.5rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.words { margin: 0.2rem 0 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.who { margin: 0; color: #555; font-size: 0.9rem; }
"""


def build_archive(*, member: User, on_progress: Callable[[int, int], None]) -> bytes:
    """Return the zip. `on_progress` is called with the number of conversations done, and of all."""
    data = collect(member=member, on_progress=on_progress)
    archive = BytesIO()
    with ZipFile(archive, "w", ZIP_DEFLATED) as files:
        files.writestr("care-collective.json", json.dumps(data, indent=2, ensure_ascii=False, default=_plain))
        files.writestr("care-collective.html", render_to_string("privacy/export.html", {"data": data}))
        files.writestr("style.css", STYLE)
    return archive.getvalue()


def collect(*, member: User, on_progress: Callable[[int, int], None]) -> Row:
    """Return all of the member's own data, as plain values."""
    with acting_as(member):
        legacy = _rows("SELECT * FROM public.privacy_own_legacy_messages()")
        data: Row = {
            "made_at": fetch_all("SELECT clock_timestamp()")[0][0],
            "profile": _json("SELECT to_jsonb(p) - 'password' FROM profiles p WHERE id = %s", member)[0],
            "addresses": _json(
                "SELECT jsonb_build_object('email', email, 'confirmed', verified) FROM account_emailaddress"
                " WHERE user_id = %s",
                member,
            ),
            "sessions": _json(
                "SELECT jsonb_build_object('device', device, 'created_at', created_at, 'seen_at', seen_at)"
                " FROM django_session WHERE member_id = %s",
                member,
            ),
            "second_factors": _json(
                "SELECT jsonb_build_object('type', type, 'created_at', created_at, 'last_used_at', last_used_at)"
                " FROM mfa_authenticator WHERE user_id = %s",
                member,
            ),
            "preferences": _json("SELECT to_jsonb(p) FROM messaging_preferences p WHERE user_id = %s", member),
            "help_requests": _json(
                "SELECT to_jsonb(r) FROM help_requests r WHERE user_id = %s ORDER BY created_at, id", member
            ),
            "reports": _reports(member),
            "from_staff": _from_staff(member),
            "blocked": [{"id": one.id, "name": one.name, "since": one.since} for one in list_blocked(member=member)],
            "messages_to_staff": _json(
                "SELECT to_jsonb(m) - 'answered_by_id' FROM contact_contactmessage m WHERE member_id = %s ORDER BY created_at",
                member,
            ),
        }
        hidden = _rows(_OWN_HIDDEN, [member.pk, member.pk]) if v2_is_installed() else []
    own_words = {message["id"]: message["content"] for message in [*legacy, *hidden]}
    conversations = list(_conversations(member))
    on_progress(0, len(conversations))
    data["conversations"] = []
    for number, row in enumerate(conversations, start=1):
        data["conversations"].append(_conversation(member, row, own_words))
        on_progress(number, len(conversations))
    data["messages_in_conversations_left"] = [
        {name: message[name] for name in ("id", "conversation_id", "content", "created_at")}
        for message in legacy
        if message["has_left"]
    ]
    return data


def _conversations(member: User) -> Iterator[ConversationRow]:
    place: Cursor | None = None
    while True:
        page = list_conversations(reader=member, cursor=place, size=100)
        yield from page.rows
        place = page.next
        if place is None:
            return


def _conversation(member: User, row: ConversationRow, own_words: dict[UUID, str]) -> Row:
    thread = open_thread(reader=member, conversation_id=row.id, mark_read=False)
    other = thread.other_participant
    messages = list(thread.shown)
    while thread.has_older:
        thread = open_thread(reader=member, conversation_id=row.id, before=messages[0].id, mark_read=False)
        messages = [*thread.shown, *messages]
    conversation = thread.conversation
    return {
        "id": conversation.id,
        "version": conversation.version.value,
        "help_request": row.help_request and {"id": row.help_request.id, "title": row.help_request.title},
        "with": other and {"id": other.id, "name": other.name},
        "i_am": "helper" if conversation.helper_id == member.pk else "requester",
        "status": conversation.status,
        "created_at": conversation.created_at,
        "messages": [_message(member, conversation.id, message, own_words) for message in messages],
    }


def _message(member: User, conversation_id: UUID, message: MessageRecord, own_words: dict[UUID, str]) -> Row:
    # A message that was taken down is hidden from others, but its author gets it back.
    own = own_words.get(message.id or conversation_id) if message.is_withheld else None
    author = {
        "by_me": message.sender_id == member.pk,
        "by": {"id": message.sender_id, "name": message.sender_name},
    }
    return {
        "id": message.id,
        **(SYSTEM_AUTHOR if message.is_system else author),
        "content": message.content if own is None else own,
        "created_at": message.created_at,
        **({"withheld": True} if message.is_withheld else {}),
    }


def _from_staff(member: User) -> list[Row]:
    names = ("kind", "words", "at", "restriction", "daily_limit", "until", "undone_at")
    return [{name: getattr(notice, name) for name in names} for notice in list_notices(member=member, lately=False)]


def _reports(member: User) -> list[Row]:
    ours = Report.objects.filter(reporter=member).order_by("created_at", "pk")
    names = (
        "id",
        "about",
        "version",
        "conversation_id",
        "message_id",
        "help_request_id",
        "reason",
        "words",
        "status",
        "created_at",
    )
    own: list[Row] = [{name: getattr(report, name) for name in names} for report in ours]
    return [*_rows("SELECT *, 'v1' AS version FROM public.privacy_own_legacy_reports()"), *own]


def _json(statement: str, member: User) -> list[Row]:
    # Django's connection returns jsonb as text.
    return [json.loads(text) for (text,) in fetch_all(statement, [member.pk])]


def _rows(statement: str, values: Sequence[Any] | None = None) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, (datetime, date, time)) else str(value)
