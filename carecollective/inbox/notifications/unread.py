"""What a member has been notified of and not yet read, of both versions, in their own name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from carecollective.accounts.models import User
from carecollective.core.database import acting_as, fetch_all
from carecollective.inbox.queries import HIDDEN
from rollout.targeting.cohort import v2_is_installed

# The newest ones of each conversation: a mail tells of no more.
MESSAGES_AT_MOST = 50

# Conversations with something to tell; of closed ones nothing is news. The CASE keeps the comparison an index condition.
_NOTIFIED = """
  SELECT DISTINCT n.conversation_id FROM inbox_notification n
  WHERE n.recipient_id = %(reader)s AND n.settled_at IS NULL AND n.version = '{version}' AND n.kind <> 'asked_to_continue'
    AND (%(conversation)s::uuid IS NULL OR n.conversation_id = %(conversation)s)
"""
_NOT_BLOCKED = """
WHERE NOT EXISTS (SELECT FROM public.my_blocks() block WHERE block.by_me AND block.member_id = said.sender_id)
"""
_NOT_HIDDEN = f"  AND coalesce(said.message_id, c.id) <> ALL ({HIDDEN['c']})\n"
_V1 = f"""
SELECT c.id, coalesce(request.title, ''), sender.id, sender.name, said.content, said.created_at, said.is_offer
FROM ({_NOTIFIED.format(version="v1")}) n
JOIN conversations c ON c.id = n.conversation_id AND coalesce(c.status::text, 'active') NOT IN ('closed', 'blocked')
JOIN conversation_participants me ON me.conversation_id = c.id AND me.user_id = %(reader)s AND me.left_at IS NULL
LEFT JOIN help_requests request ON request.id = c.help_request_id
LEFT JOIN inbox_readpointer pointer ON pointer.member_id = %(reader)s AND pointer.conversation_id = c.id
JOIN LATERAL (
  SELECT m.id AS message_id, m.sender_id, m.content, m.created_at, coalesce(m.message_type::text, 'text') <> 'text' AS is_system,
    m.sender_id IS DISTINCT FROM request.user_id AND NOT EXISTS (
      SELECT FROM messages before WHERE before.conversation_id = c.id AND before.created_at < m.created_at) AS is_offer
  FROM messages m
  WHERE m.conversation_id = c.id AND m.recipient_id = %(reader)s AND m.read_at IS NULL AND m.deleted_at IS NULL
    AND coalesce(m.moderation_status::text, '') NOT IN ('hidden', 'removed') AND m.content <> public.privacy_erased_text()
    AND m.created_at > CASE WHEN pointer.read_to IS NULL THEN '-infinity' ELSE pointer.read_to END
  ORDER BY m.created_at DESC, m.id DESC LIMIT {MESSAGES_AT_MOST}
) said ON true
LEFT JOIN profiles sender ON sender.id = said.sender_id AND NOT said.is_system
{_NOT_BLOCKED}{_NOT_HIDDEN}
  AND NOT EXISTS (SELECT FROM safety_closing closing WHERE closing.conversation_id = c.id)
ORDER BY c.id, said.created_at
"""  # noqa: S608 -- our own text
_V2 = f"""
SELECT c.id, request.title, sender.id, sender.name, said.content, said.created_at, said.is_offer
FROM ({_NOTIFIED.format(version="v2")}) n
JOIN conversations_v2 c ON c.id = n.conversation_id AND c.status <> 'closed'
JOIN help_requests request ON request.id = c.help_request_id
LEFT JOIN inbox_readpointer pointer ON pointer.member_id = %(reader)s AND pointer.conversation_id = c.id
JOIN LATERAL (
  SELECT * FROM (
    SELECT c.helper_id AS sender_id, c.initial_message AS content, c.created_at, c.id, NULL::uuid AS message_id, true AS is_offer
    WHERE c.helper_id <> %(reader)s
      AND c.created_at > CASE WHEN pointer.read_to IS NULL THEN '-infinity' ELSE pointer.read_to END
    UNION ALL
    SELECT m.sender_id, m.content, m.created_at, m.id, m.id, false
    FROM messages_v2 m
    WHERE m.conversation_id = c.id AND m.sender_id <> %(reader)s
      AND m.created_at > CASE WHEN pointer.read_to IS NULL THEN '-infinity' ELSE pointer.read_to END
  ) both_kinds WHERE content <> public.privacy_erased_text()
  ORDER BY created_at DESC, id DESC LIMIT {MESSAGES_AT_MOST}
) said ON true
LEFT JOIN profiles sender ON sender.id = said.sender_id
{_NOT_BLOCKED}{_NOT_HIDDEN}
ORDER BY c.id, said.created_at
"""  # noqa: S608 -- our own text
# The wish to go on in V2: over once the helper has, or once the request is no longer open.
_ASKED = """
SELECT c.id, request.title, asking.id, asking.name, NULL, n.created_at, false
FROM inbox_notification n
JOIN conversations c ON c.id = n.conversation_id
JOIN help_requests request ON request.id = c.help_request_id AND request.status IN ('open', 'in_progress')
JOIN profiles asking ON asking.id = request.user_id
WHERE n.recipient_id = %(reader)s AND n.settled_at IS NULL AND n.kind = 'asked_to_continue'
  AND (%(conversation)s::uuid IS NULL OR n.conversation_id = %(conversation)s)
  AND NOT EXISTS (
    SELECT FROM conversations_v2 v2 WHERE v2.help_request_id = c.help_request_id AND v2.helper_id = %(reader)s)
"""


@dataclass(frozen=True, slots=True)
class Said:
    """One unread message. `words` is None for the wish to continue; `sender` is empty where the site wrote it."""

    sender_id: UUID | None
    sender: str
    words: str | None
    at: datetime
    is_offer: bool


@dataclass(frozen=True, slots=True)
class News:
    """What is unread in one conversation, oldest first. `takes_answers`: the member can write in it now."""

    conversation_id: UUID
    title: str
    said: Sequence[Said]
    takes_answers: bool = True

    @property
    def since(self) -> datetime:
        return min(one.at for one in self.said)

    @property
    def told_to(self) -> datetime | None:
        """The newest message; None for a wish alone, which reading does not settle."""
        return max((one.at for one in self.said if one.words is not None), default=None)


def read_news(member_id: UUID, conversation_id: UUID | None = None) -> Sequence[News]:
    """Return what is unread in one conversation, or in all of them, oldest news first."""
    given: dict[str, Any] = {"reader": member_id, "conversation": conversation_id}
    with acting_as(User(pk=member_id)):
        rows = fetch_all(_V1, given)
        if v2_is_installed():
            rows += fetch_all(_V2, given) + fetch_all(_ASKED, given)
    found: dict[UUID, tuple[str, list[Said]]] = {}
    for key, title, sender_id, sender, words, at, is_offer in rows:
        found.setdefault(key, (title, []))[1].append(Said(sender_id, sender or "", words, at, is_offer))
    return sorted((News(key, title, said) for key, (title, said) in found.items()), key=lambda news: news.since)
