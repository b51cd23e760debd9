"""The hot statement of the legacy messaging, by hand."""

from carecollective.postgres.backend.prepared import Prepared

# The helper's conversation about a request, where a message ever arrived. Instead of `conversation_of_pair`.
PAIR = """
SELECT c.id, 'v1' AS version, c.last_message_at FROM conversations c
WHERE c.help_request_id = %(help_request)s
  AND EXISTS (SELECT FROM conversation_participants me
              WHERE me.conversation_id = c.id AND me.user_id = %(helper)s AND me.left_at IS NULL)
  AND EXISTS (SELECT FROM messages m WHERE m.conversation_id = c.id)
"""
PAIR_V1 = Prepared(f"SELECT id, version FROM ({PAIR}) pair ORDER BY last_message_at DESC NULLS LAST, id DESC LIMIT 1")  # noqa: S608 -- our own text
