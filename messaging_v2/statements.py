"""The hot statements of the new messaging, by hand, each above the query of the ORM that it replaces.

An ORM query costs 0.4 to 1.7 ms of CPU, one of these about 0.1 ms. `tests/messaging/test_statements.py` holds the answers equal.
"""

from carecollective.messaging.statements import COUNT_FIRST, COUNTED, IF_COUNTED, NOTE
from carecollective.postgres.backend.prepared import Prepared
from carecollective.safety.statements import STANDING_COLUMNS

CONVERSATION_COLUMNS = (
    "id", "help_request_id", "requester_id", "helper_id", "initial_message", "status", "created_at", "updated_at",
)  # fmt: skip
MESSAGE_COLUMNS = ("id", "conversation_id", "sender_id", "content", "created_at", "updated_at")

# Instead of `Conversation.objects.visible_to(member).select_for_update(of=("self",), no_key=True).filter(pk=…).first()`.
LOCK_CONVERSATION = Prepared("""
SELECT c.id, c.help_request_id, c.requester_id, c.helper_id, c.initial_message::text, c.status::text, c.created_at, c.updated_at
FROM conversations_v2 c WHERE c.id = %(conversation)s AND %(member)s IN (c.requester_id, c.helper_id)
FOR NO KEY UPDATE
""")

# The same with how the member and the other stand: one round trip less for each send. The lock is held before the function is
# called.
LOCK_AND_STANDING = Prepared(f"""
SELECT c.*, {STANDING_COLUMNS}
FROM ({LOCK_CONVERSATION}) c CROSS JOIN LATERAL public.safety_standing(
  CASE WHEN c.requester_id = %(member)s THEN c.helper_id ELSE c.requester_id END) standing
""")  # noqa: S608 -- our own text

# The helper's conversation about a request. Instead of `Conversation.objects.filter(help_request=…, helper=…).first()`.
PAIR = """
SELECT c.id, 'v2' AS version, NULL::timestamptz AS last_message_at FROM conversations_v2 c
WHERE c.help_request_id = %(help_request)s AND c.helper_id = %(helper)s
"""
PAIR_V2 = Prepared(f"SELECT id, version FROM ({PAIR}) pair")  # noqa: S608 -- our own text

# Instead of `Conversation.objects.create(help_request=…, requester_id=…, helper=…, initial_message=…)`.
_OPEN = """
INSERT INTO conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message)
SELECT %(conversation)s, %(help_request)s, %(requester)s, %(helper)s, %(initial_message)s {source}
RETURNING status::text, created_at, updated_at
"""
OPEN_CONVERSATION = Prepared(_OPEN.format(source=""))
# The same, counted and noted: one round trip less. Where the limit is reached, its columns are NULL.
OPEN_AND_NOTE = Prepared(f"""
{COUNT_FIRST}, opened AS ({_OPEN.format(source=f"FROM {IF_COUNTED}")}), noted AS ({NOTE.format(of="opened")})
SELECT opened.*, {COUNTED} FROM counted LEFT JOIN opened ON true
""")  # noqa: S608 -- our own text

# Instead of `Message.objects.filter(pk=…).first()`.
SENT_BEFORE = Prepared("""
SELECT id, conversation_id, sender_id, content::text, created_at, updated_at FROM messages_v2 WHERE id = %(message)s
""")

# Instead of `Message.objects.create(…)` in a savepoint, and `Conversation.objects.filter(pk=…).update(updated_at=…)`. No row
# comes back where the id names a message already.
_SEND = """
sent AS (
  INSERT INTO messages_v2 (id, conversation_id, sender_id, content)
  SELECT %(id)s, %(conversation)s, %(sender)s, %(content)s {source}
  ON CONFLICT (id) DO NOTHING
  RETURNING id, conversation_id, sender_id, content::text, created_at, updated_at
), touched AS (
  UPDATE conversations_v2 c SET updated_at = sent.created_at FROM sent WHERE c.id = sent.conversation_id
)"""
SEND_MESSAGE = Prepared(f"WITH {_SEND.format(source='')} SELECT * FROM sent")  # noqa: S608 -- our own text
# The same, counted and noted. Where the limit is reached, or the id names a message already, its columns are NULL.
SEND_AND_NOTE = Prepared(f"""
{COUNT_FIRST}, {_SEND.format(source=f"FROM {IF_COUNTED}")}, noted AS ({NOTE.format(of="sent")})
SELECT sent.*, {COUNTED} FROM counted LEFT JOIN sent ON true
""")  # noqa: S608 -- our own text

# A page of messages as arrays, one for each column: one row holds a conversation and all of them. The conversation's id is given
# and not c.id: of a value PostgreSQL knows how long the thread is, and so reads no more of a long one than the page.
_SAID = """(
  SELECT array_agg(m.id), array_agg(m.sender_id), array_agg(m.content::text), array_agg(m.created_at), array_agg(m.updated_at)
  FROM (SELECT * FROM messages_v2 m WHERE m.conversation_id = %(conversation)s {beyond}
        ORDER BY m.created_at {direction}, m.id {direction} LIMIT %(limit)s) m
) said (ids, senders, contents, created, updated)"""
_ANCHOR = "LEFT JOIN messages_v2 anchor ON anchor.id = %(anchor)s AND anchor.conversation_id = c.id"
_VISIBLE = "WHERE c.id = %(conversation)s AND %(reader)s IN (c.requester_id, c.helper_id)"
# Which messages of the conversation: what follows the table, whether the anchor is one of them, and the messages.
_PLACES = {
    "latest": ("", "true", _SAID.format(beyond="", direction="DESC")),
    "older": (
        _ANCHOR,
        "anchor.id IS NOT NULL",
        _SAID.format(beyond="AND (m.created_at, m.id) < (anchor.created_at, anchor.id)", direction="DESC"),
    ),
    "newer": (
        _ANCHOR,
        "anchor.id IS NOT NULL",
        _SAID.format(beyond="AND (m.created_at, m.id) > (anchor.created_at, anchor.id)", direction="ASC"),
    ),
}

# Instead of the queries for the anchor and for `messages.order_by(…)[:limit]`. The inbox puts its own columns before these.
MESSAGES = {
    place: f"SELECT c.id, {is_known} AS is_known, said.* FROM conversations_v2 c {anchor} CROSS JOIN LATERAL {said} {_VISIBLE}"  # noqa: S608 -- our own text
    for place, (anchor, is_known, said) in _PLACES.items()
}

# Instead of `Conversation.objects.select_related("help_request", "requester", "helper")` with the messages as JSON.
THREAD = {
    place: f"""
SELECT c.id, c.help_request_id, c.requester_id, c.helper_id, c.initial_message::text, c.status::text, c.created_at, c.updated_at,
       request.title::text, request.status::text AS request_status,
       requester.name::text AS requester_name, requester.is_admin AS requester_is_admin,
       requester.is_active AS requester_is_active,
       helper.name::text AS helper_name, helper.is_admin AS helper_is_admin, helper.is_active AS helper_is_active,
       ARRAY(SELECT coalesce(hidden.message_id, hidden.conversation_id) FROM safety_hiddenmessage hidden
             WHERE hidden.conversation_id = c.id) AS hidden,
       {is_known} AS is_known, said.*
FROM conversations_v2 c
JOIN help_requests request ON request.id = c.help_request_id
JOIN profiles requester ON requester.id = c.requester_id
JOIN profiles helper ON helper.id = c.helper_id
{anchor} CROSS JOIN LATERAL {said}
{_VISIBLE}"""  # noqa: S608 -- our own text
    for place, (anchor, is_known, said) in _PLACES.items()
}
