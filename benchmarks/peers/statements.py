"""The statements of a bare peer without an ORM. They see the new messaging alone, as the web role, with its policies on."""

TOKEN = """
SELECT p.id, p.name, p.verification_status::text FROM knox_authtoken t JOIN profiles p ON p.id = t.user_id
WHERE t.digest = {0} AND (t.expiry IS NULL OR t.expiry > clock_timestamp()) AND p.is_active
"""
ACT = "SELECT set_config('app.user_id', {0}, true)"
LOCK_REQUEST = "SELECT user_id, status FROM help_requests WHERE id = {0} FOR NO KEY UPDATE"
PAIR = "SELECT id FROM conversations_v2 WHERE help_request_id = {0} AND helper_id = {1}"
START = """
INSERT INTO conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message) VALUES ({0}, {1}, {2}, {3}, {4})
"""
LOCK_CONVERSATION = "SELECT requester_id, helper_id, status FROM conversations_v2 WHERE id = {0} FOR NO KEY UPDATE"
SEND = """
INSERT INTO messages_v2 (id, conversation_id, sender_id, content) VALUES ({0}, {1}, {2}, {3})
RETURNING id, sender_id, content, created_at, updated_at
"""
TOUCH = "UPDATE conversations_v2 SET updated_at = {1} WHERE id = {0}"
INBOX = """
WITH page AS (
  SELECT c.*, CASE WHEN c.requester_id = {0} THEN c.helper_id ELSE c.requester_id END AS other_id, pointer.read_to
  FROM conversations_v2 c
  LEFT JOIN inbox_readpointer pointer ON pointer.member_id = {0} AND pointer.conversation_id = c.id
  WHERE {0} IN (c.requester_id, c.helper_id)
  ORDER BY c.updated_at DESC, c.id DESC LIMIT 21
)
SELECT page.id, page.status, page.updated_at, request.id, request.title, request.status, other.id, other.name,
       last.id, coalesce(last.sender_id, page.helper_id), coalesce(last.content, page.initial_message),
       coalesce(last.created_at, page.created_at),
       unread.messages + CASE WHEN page.helper_id <> {0} AND (page.read_to IS NULL OR page.created_at > page.read_to)
                              THEN 1 ELSE 0 END
FROM page
JOIN help_requests request ON request.id = page.help_request_id
JOIN profiles other ON other.id = page.other_id
LEFT JOIN LATERAL (SELECT m.* FROM messages_v2 m WHERE m.conversation_id = page.id
                   ORDER BY m.created_at DESC, m.id DESC LIMIT 1) last ON true
CROSS JOIN LATERAL (SELECT count(*) AS messages FROM messages_v2 m WHERE m.conversation_id = page.id AND m.sender_id <> {0}
                    AND m.created_at > CASE WHEN page.read_to IS NULL THEN '-infinity' ELSE page.read_to END) unread
ORDER BY page.updated_at DESC, page.id DESC
"""
CONVERSATION = """
SELECT id, help_request_id, requester_id, helper_id, initial_message, status, created_at, updated_at
FROM conversations_v2 WHERE id = {0} AND {1} IN (requester_id, helper_id)
"""
LATEST = """
SELECT id, sender_id, content, created_at, updated_at FROM messages_v2 WHERE conversation_id = {0}
ORDER BY created_at DESC, id DESC LIMIT {1}
"""
NEWER = """
SELECT m.id, m.sender_id, m.content, m.created_at, m.updated_at FROM messages_v2 m
JOIN messages_v2 anchor ON anchor.id = {1} AND anchor.conversation_id = m.conversation_id
WHERE m.conversation_id = {0} AND (m.created_at, m.id) > (anchor.created_at, anchor.id)
ORDER BY m.created_at, m.id LIMIT 201
"""


def numbered(statement: str) -> str:
    """Return the statement with PostgreSQL's own placeholders, $1 and on (asyncpg)."""
    return statement.format(*(f"${number}" for number in range(1, 10)))
