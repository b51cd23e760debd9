"""The hot statements of the new messaging, by hand, each above the query of the ORM that it replaces.

An ORM query costs 0.4 to 1.7 ms of CPU, one of these about 0.1 ms. `tests/messaging/test_statements.py` holds the answers equal.
"""

from carecollective.postgres.backend.prepared import Prepared

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

# Instead of `Conversation.objects.create(help_request=…, requester_id=…, helper=…, initial_message=…)`.
OPEN_CONVERSATION = Prepared("""
INSERT INTO conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message)
VALUES (%(id)s, %(help_request)s, %(requester)s, %(helper)s, %(initial_message)s)
RETURNING status::text, created_at, updated_at
""")

# Instead of `Message.objects.filter(pk=…).first()`.
SENT_BEFORE = Prepared("""
SELECT id, conversation_id, sender_id, content::text, created_at, updated_at FROM messages_v2 WHERE id = %(message)s
""")

# Instead of `Message.objects.create(…)` in a savepoint, and `Conversation.objects.filter(pk=…).update(updated_at=…)`. No row
# comes back where the id names a message already.
SEND_MESSAGE = Prepared("""
WITH sent AS (
  INSERT INTO messages_v2 (id, conversation_id, sender_id, content)
  VALUES (%(id)s, %(conversation)s, %(sender)s, %(content)s)
  ON CONFLICT (id) DO NOTHING
  RETURNING id, conversation_id, sender_id, content::text, created_at, updated_at
), touched AS (
  UPDATE conversations_v2 c SET updated_at = sent.created_at FROM sent WHERE c.id = sent.conversation_id
)
SELECT * FROM sent
""")
