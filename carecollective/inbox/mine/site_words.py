"""What the site says in a thread: the request was completed, taken back or opened again, and the owner's thanks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from carecollective.accounts.models import User
from carecollective.core.database import acting_as, fetch_ahead, fetch_last, fetch_last_and_next
from carecollective.help_requests.models import RequestStatus
from carecollective.inbox.records import MessageRecord, Thread
from carecollective.inbox.selectors import (
    for_tables_at_hand,
    is_legacy_thread,
    thread_asked,
    thread_found,
    unread_asked,
    unread_found,
)
from carecollective.postgres.backend.prepared import Prepared

# Asked with the id of a V2 conversation, or with the request and helper of a legacy one. It returns all changes of the request,
# which are few: so it can run before the thread's first message is known.
_SAID = Prepared("""
WITH thread AS (
  SELECT help_request_id, helper_id FROM conversations_v2 WHERE id = %(conversation)s
  UNION ALL SELECT %(request)s, %(helper)s
)
SELECT change.id, change.status::text, change.at
FROM thread JOIN help_requests_statuschange change ON change.help_request_id = thread.help_request_id
UNION ALL
SELECT thanks.id, 'thanks', thanks.at
FROM thread JOIN inbox_thanks thanks ON thanks.help_request_id = thread.help_request_id AND thanks.helper_id = thread.helper_id
ORDER BY at, id
""")


def open_thread_with_site_words(
    *, reader: User, conversation_id: UUID, before: UUID | None = None, mark_read: bool
) -> Thread:
    """Return what `open_thread` returns, with what the site says since the first message shown. Raises what that raises.

    With `mark_read`, also how much is unread afterwards. A thread of the new messaging takes one round trip.
    """
    which: dict[str, Any] = {
        "reader": reader,
        "conversation_id": conversation_id,
        "before": before,
        "mark_read": mark_read,
    }
    with acting_as(reader, commits_with_last=True):
        found = fetch_ahead(thread_asked(**which))
        said, unread = _ask(reader, counts=mark_read, conversation=conversation_id)
    (rows,) = found()
    row = rows[0] if rows else None
    if is_legacy_thread(row):
        with acting_as(reader, commits_with_last=True):
            thread = thread_found(row, **which)
            request_id = thread.help_request.id if thread.help_request else None
            said, unread = _ask(reader, counts=mark_read, request=request_id, helper=thread.conversation.helper_id)
    else:
        thread = thread_found(row, **which)
    since = next((message.created_at for message in thread.shown if message.created_at), None)
    is_owner = reader.pk == thread.conversation.requester_id
    words = [
        MessageRecord(key, None, _sentence(kind, is_owner=is_owner), at, at, is_system=True)
        for key, kind, at in said
        if since and at >= since
    ]
    return replace(thread, site_words=words, unread=unread_found(unread))


def _ask(
    reader: User,
    *,
    counts: bool,
    conversation: UUID | None = None,
    request: UUID | None = None,
    helper: UUID | None = None,
) -> tuple[Sequence[tuple[Any, ...]], Sequence[tuple[Any, ...]] | None]:
    """Run _SAID as the last statement of the transaction; return its rows, and with `counts` those of what is unread."""
    asked = for_tables_at_hand(_SAID), {"conversation": conversation, "request": request, "helper": helper}
    return fetch_last_and_next(reader, asked, *unread_asked(reader)) if counts else (fetch_last(*asked), None)


def _sentence(kind: str, *, is_owner: bool) -> str:
    match kind:
        case RequestStatus.COMPLETED:
            return _("You marked this request as completed.") if is_owner else _("This request is completed.")
        case RequestStatus.CANCELLED:
            return _("You took this request back.") if is_owner else _("This request was taken back.")
        case RequestStatus.CLOSED:
            return _("The time of this request was over, so it was closed.")
        case "thanks":
            return _("You said thank you for this help.") if is_owner else _("Thank you: you helped with this request.")
    return _("You opened this request again.") if is_owner else _("This request is open again.")
