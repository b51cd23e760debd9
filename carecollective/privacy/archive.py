"""All that is a member's own, as JSON for programs and as a page for people, in one zip.

It is read as the member, through the same policies as their pages: what an export could show, the member could see.
"""

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from io import BytesIO
from typing import Any
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile

from django.db import connection
from django.template.loader import render_to_string

from carecollective.accounts.models import User
from carecollective.core.database import acting_as
from carecollective.core.pagination import Cursor
from carecollective.inbox.records import ConversationRow, MessageRecord
from carecollective.inbox.selectors import list_conversations, open_thread
from carecollective.moderation.models import Report
from rollout.versions import MessagingVersion

Row = dict[str, Any]

# The legacy system wrote it by itself, though it put a member's id on it.
NOBODYS_WORDS: Row = {"by_me": False, "by": None, "system": True}

STYLE = """\
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }
section, article { margin-block: 2rem; }
dt { font-weight: 600; } dd { margin: 0 0 0.5rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.words { margin: 0.2rem 0 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.who { margin: 0; color: #555; font-size: 0.9rem; }
"""


def build_archive(*, member: User, tell: Callable[[int, int], None]) -> bytes:
    """Return the zip with everything that is the member's own; `tell` hears how many conversations of how many are done."""
    data = collect(member=member, tell=tell)
    archive = BytesIO()
    with ZipFile(archive, "w", ZIP_DEFLATED) as files:
        files.writestr("care-collective.json", json.dumps(data, indent=2, ensure_ascii=False, default=_plain))
        files.writestr("care-collective.html", render_to_string("privacy/export.html", {"data": data}))
        files.writestr("style.css", STYLE)
    return archive.getvalue()


def collect(*, member: User, tell: Callable[[int, int], None]) -> Row:
    """Return everything that is the member's own, as plain as JSON."""
    with acting_as(member):
        legacy = _rows("SELECT * FROM public.privacy_own_legacy_messages()")
        data: Row = {
            "made_at": _rows("SELECT clock_timestamp() AS at")[0]["at"],
            "profile": _rows("SELECT to_jsonb(p) - 'password' AS row FROM profiles p WHERE id = %s", member.pk)[0][
                "row"
            ],
            "preferences": [
                found["row"]
                for found in _rows(
                    "SELECT to_jsonb(p) AS row FROM messaging_preferences p WHERE user_id = %s", member.pk
                )
            ],
            "help_requests": [
                found["row"]
                for found in _rows(
                    "SELECT to_jsonb(r) AS row FROM help_requests r WHERE user_id = %s ORDER BY created_at, id",
                    member.pk,
                )
            ],
            "reports": _reports(member),
        }
    own_words = {message["id"]: message["content"] for message in legacy}
    conversations = list(_conversations(member))
    tell(0, len(conversations))
    data["conversations"] = []
    for number, row in enumerate(conversations, start=1):
        data["conversations"].append(_conversation(member, row, own_words))
        tell(number, len(conversations))
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
    names = {person.id: person.name for person in thread.people}
    messages = list(thread.messages)
    while thread.has_older:
        thread = open_thread(reader=member, conversation_id=row.id, before=messages[0].id, mark_read=False)
        messages = [*thread.messages, *messages]
    conversation = thread.conversation
    said = [_message(member, message, names, own_words) for message in messages]
    if conversation.version is MessagingVersion.V2 and conversation.helper_id:
        opening = {
            "id": None,
            **_author(member, conversation.helper_id, names),
            "content": conversation.initial_message,
            "created_at": conversation.created_at,
        }
        said.insert(0, opening)
    return {
        "id": conversation.id,
        "version": conversation.version.value,
        "help_request": row.help_request and {"id": row.help_request.id, "title": row.help_request.title},
        "with": other and {"id": other.id, "name": other.name},
        "i_am": "helper" if conversation.helper_id == member.pk else "requester",
        "status": conversation.status,
        "created_at": conversation.created_at,
        "messages": said,
    }


def _message(member: User, message: MessageRecord, names: dict[UUID, str], own_words: dict[UUID, str]) -> Row:
    # What was taken down stays hidden from its readers; its author gets back what they wrote.
    content = own_words.get(message.id, message.content) if message.is_withheld else message.content
    return {
        "id": message.id,
        **(NOBODYS_WORDS if message.is_system else _author(member, message.sender_id, names)),
        "content": content,
        "created_at": message.created_at,
        **({"withheld": True} if message.is_withheld else {}),
    }


def _author(member: User, author_id: UUID | None, names: dict[UUID, str]) -> Row:
    return {
        "by_me": author_id == member.pk,
        "by": {"id": author_id, "name": names.get(author_id) if author_id else None},
    }


def _reports(member: User) -> list[Row]:
    ours = Report.objects.filter(reporter=member).order_by("created_at", "pk")
    names = ("id", "version", "conversation_id", "message_id", "reason", "words", "status", "created_at")
    own: list[Row] = [{name: getattr(report, name) for name in names} for report in ours]
    return [*_rows("SELECT *, 'v1' AS version FROM public.privacy_own_legacy_reports()"), *own]


def _rows(statement: str, *given: UUID) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(statement, given)
        names = [column[0] for column in cursor.description]
        # Django reads jsonb as text, and leaves it to its own fields to take it apart.
        return [
            {
                name: json.loads(value) if name == "row" and isinstance(value, str) else value
                for name, value in zip(names, row, strict=True)
            }
            for row in cursor.fetchall()
        ]


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, (datetime, date, time)) else str(value)
