"""What the site says in a thread: the request was completed, taken back or opened again, and the owner's thanks."""

from dataclasses import replace
from uuid import UUID

from django.utils.translation import gettext as _

from carecollective.accounts.models import User
from carecollective.core.database import acting_as, fetch_last, fetch_last_and_next
from carecollective.help_requests.models import RequestStatus
from carecollective.inbox.records import MessageRecord, Thread
from carecollective.inbox.selectors import open_thread, unread_asked, unread_found
from carecollective.postgres.backend.prepared import Prepared

_SAID = Prepared("""
SELECT id, status::text, at FROM help_requests_statuschange WHERE help_request_id = %(request)s AND at >= %(since)s
UNION ALL
SELECT id, 'thanks', at FROM inbox_thanks WHERE help_request_id = %(request)s AND helper_id = %(helper)s AND at >= %(since)s
ORDER BY at, id
""")


def open_thread_with_site_words(
    *, reader: User, conversation_id: UUID, before: UUID | None = None, mark_read: bool
) -> Thread:
    """Return what `open_thread` returns, with what the site says since the first message shown. Raises what that raises.

    With `mark_read`, also how much is unread afterwards.
    """
    with acting_as(reader, commits_with_last=True):
        thread = open_thread(reader=reader, conversation_id=conversation_id, before=before, mark_read=mark_read)
        dates = [message.created_at for message in thread.shown if message.created_at]
        if thread.help_request is None or not dates:
            return thread
        given = {"request": thread.help_request.id, "helper": thread.conversation.helper_id, "since": dates[0]}
        unread = None
        if mark_read:
            said, unread = fetch_last_and_next(reader, (_SAID, given), *unread_asked(reader))
        else:
            said = fetch_last(_SAID, given)
    is_owner = reader.pk == thread.conversation.requester_id
    words = [
        MessageRecord(key, None, _sentence(kind, is_owner=is_owner), at, at, is_system=True) for key, kind, at in said
    ]
    return replace(thread, site_words=words, unread=unread_found(unread))


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
