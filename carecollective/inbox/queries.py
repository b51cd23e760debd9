"""The statements that read both versions at once. Everything else goes through each version's own selectors."""

import messaging_v1.statements
import messaging_v2.statements
from carecollective.postgres.backend.prepared import Prepared
from messaging_v2.statements import MESSAGES, THREAD

# Empty stand-ins for V2's tables, by the same names: with them in front, a statement reads V1 alone.
_STAND_INS = """
WITH conversations_v2 AS (
  SELECT NULL::uuid AS id, NULL::uuid AS help_request_id, NULL::uuid AS requester_id, NULL::uuid AS helper_id,
    NULL::text AS initial_message, NULL::text AS status, NULL::timestamptz AS created_at, NULL::timestamptz AS updated_at
  WHERE false
), messages_v2 AS (
  SELECT NULL::uuid AS id, NULL::uuid AS conversation_id, NULL::uuid AS sender_id, NULL::text AS content,
    NULL::timestamptz AS created_at, NULL::timestamptz AS updated_at
  WHERE false
),"""


def without_v2(statement: str) -> str:
    """Return a statement of both versions that needs none of V2's tables. It begins with WITH."""
    return statement.replace("\nWITH", _STAND_INS, 1)


# Both sides in one shape. The policies already show no conversation of others'; the conditions say it again. A legacy
# conversation without any date was last active at `undated`.
_NEW = """
  SELECT c.id, 'v2' AS version, c.help_request_id, c.requester_id, c.helper_id,
         CASE WHEN c.requester_id = %(reader)s THEN c.helper_id ELSE c.requester_id END AS other_id,
         c.status, c.updated_at AS activity, c.initial_message, c.created_at
  FROM conversations_v2 c
  WHERE {mine}
"""
_LEGACY = """
  SELECT c.id, 'v1' AS version, c.help_request_id, NULL::uuid AS requester_id, NULL::uuid AS helper_id,
         (SELECT p.user_id FROM conversation_participants p
          WHERE p.conversation_id = c.id AND p.user_id <> %(reader)s ORDER BY p.joined_at, p.user_id LIMIT 1) AS other_id,
         coalesce(c.status::text, 'active') AS status,
         coalesce(c.last_message_at, c.updated_at, c.created_at, %(undated)s) AS activity, NULL AS initial_message, c.created_at
  FROM conversations c
  JOIN conversation_participants me ON me.conversation_id = c.id AND me.user_id = %(reader)s AND me.left_at IS NULL
"""
BOTH = f"{_NEW.format(mine='%(reader)s IN (c.requester_id, c.helper_id)')}UNION ALL{_LEGACY}"

# Conversations with how each stands in the reader's inbox.
_INBOX = """
  SELECT found.*, pointer.read_to, coalesce(pointer.is_marked_unread, false) AS is_marked_unread, pointer.archived_to
  FROM ({found}) found
  LEFT JOIN inbox_readpointer pointer ON pointer.member_id = %(reader)s AND pointer.conversation_id = found.id
"""
INBOX = _INBOX.format(found=BOTH)

# The ids of the messages that staff have hidden in a conversation. The first message of V2 goes by the conversation's own id.
_HIDDEN = """ARRAY(
    SELECT coalesce(hidden.message_id, hidden.conversation_id) FROM safety_hiddenmessage hidden
    WHERE hidden.conversation_id = {conversation}.id)"""
HIDDEN = {name: _HIDDEN.format(conversation=name) for name in ("c", "found", "page")}

# Nobody reads anything new where a message was hidden, or where its writer has left for good: a note stands there. An array is
# read once for a conversation, where NOT EXISTS was asked for each message.
_TO_READ = f"m.id <> ALL ({HIDDEN['page']}) AND m.content <> public.privacy_erased_text()"

# What is unread is counted up to here: a page shows "99+".
MOST_COUNTED = 100

# One row for each message in `page`, a row of INBOX, that is new to the reader. In a conversation of the new messaging none is
# looked at where there was no activity since it was read. The CASE keeps the comparison an index condition.
NEW_MESSAGES = f"""
  SELECT 1 FROM messages_v2 m
  WHERE page.version = 'v2' AND (page.read_to IS NULL OR page.activity > page.read_to)
    AND m.conversation_id = page.id AND m.sender_id <> %(reader)s
    AND m.created_at > CASE WHEN page.read_to IS NULL THEN '-infinity' ELSE page.read_to END AND {_TO_READ}
  UNION ALL
  SELECT 1 FROM (SELECT page.id, page.initial_message AS content) m
  WHERE page.version = 'v2' AND page.helper_id <> %(reader)s
    AND (page.read_to IS NULL OR page.created_at > page.read_to) AND {_TO_READ}
  UNION ALL
  SELECT 1 FROM messages m
  WHERE page.version = 'v1' AND m.conversation_id = page.id AND m.recipient_id = %(reader)s AND m.read_at IS NULL
    AND m.deleted_at IS NULL AND coalesce(m.moderation_status::text, '') NOT IN ('hidden', 'removed')
    AND m.created_at > CASE WHEN page.read_to IS NULL THEN '-infinity' ELSE page.read_to END AND {_TO_READ}
  UNION ALL
  SELECT 1 FROM messages m
  WHERE page.version = 'v1' AND page.read_to IS NULL AND m.conversation_id = page.id AND m.created_at IS NULL
    AND m.recipient_id = %(reader)s AND m.read_at IS NULL
    AND m.deleted_at IS NULL AND coalesce(m.moderation_status::text, '') NOT IN ('hidden', 'removed') AND {_TO_READ}
"""  # noqa: S608 -- our own text

NOT_ARCHIVED = "(page.archived_to IS NULL OR page.activity > page.archived_to)"

# The newest of each side: as the requester and as a helper, each read from an index in the order of the page, and no further
# than the page goes; and the legacy ones, all of which are read. Measured: 2,000 conversations cost the database what 20 do, and
# 3.3 times that where all were read and sorted.
_NEWEST = " UNION ALL ".join(
    f"(SELECT * FROM ({_INBOX.format(found=side)}) page WHERE {{place}} AND {{shown}}"  # noqa: S608 -- our own text
    " ORDER BY activity {direction}, id {direction} LIMIT %(limit)s)"
    for side in (
        _NEW.format(mine="c.requester_id = %(reader)s"),
        _NEW.format(mine="c.helper_id = %(reader)s"),
        _LEGACY,
    )
)

# A page of the inbox: the rows first, by key, then what each row shows.
LIST = f"""
WITH page AS (
  SELECT * FROM ({_NEWEST}) newest
  ORDER BY activity {{direction}}, id {{direction}}
  LIMIT %(limit)s
)
SELECT page.id, page.version,
       CASE WHEN page.status = 'active' AND (page.other_id IN (SELECT block.member_id FROM public.my_blocks() block)
              OR EXISTS (SELECT FROM safety_closing closing WHERE closing.conversation_id = page.id))
            THEN 'closed' ELSE page.status END,
       page.activity,
       request.id, request.title::text, request.status::text,
       other.id, other.name::text,
       last.id, last.sender_id, last.content::text, last.created_at, last.deleted,
       CASE WHEN coalesce(last.id, page.id) = ANY ({HIDDEN["page"]})
            THEN 'hidden' ELSE last.moderation_status END,
       last.is_system,
       -- A legacy conversation may have a third participant.
       (SELECT third.name::text FROM profiles third
        WHERE page.version = 'v1' AND third.id = last.sender_id AND last.sender_id NOT IN (%(reader)s, page.other_id)),
       unread.messages, page.is_marked_unread
FROM page
LEFT JOIN help_requests request ON request.id = page.help_request_id
LEFT JOIN profiles other ON other.id = page.other_id
LEFT JOIN LATERAL (
  SELECT * FROM (
    (SELECT m.id, m.sender_id, m.content, m.created_at, false AS deleted, NULL AS moderation_status, false AS is_system
     FROM messages_v2 m WHERE page.version = 'v2' AND m.conversation_id = page.id
     ORDER BY m.created_at DESC, m.id DESC LIMIT 1)
    UNION ALL
    (SELECT NULL, page.helper_id, page.initial_message, page.created_at, false, NULL, false WHERE page.version = 'v2')
    UNION ALL
    (SELECT m.id, m.sender_id, m.content, m.created_at, m.deleted_at IS NOT NULL, m.moderation_status::text,
            coalesce(m.message_type::text, 'text') <> 'text'
     FROM messages m WHERE page.version = 'v1' AND m.conversation_id = page.id AND m.created_at IS NOT NULL
     ORDER BY m.created_at DESC, m.id DESC LIMIT 1)
    UNION ALL
    (SELECT m.id, m.sender_id, m.content, NULL, m.deleted_at IS NOT NULL, m.moderation_status::text,
            coalesce(m.message_type::text, 'text') <> 'text'
     FROM messages m WHERE page.version = 'v1' AND m.conversation_id = page.id AND m.created_at IS NULL
     ORDER BY m.id DESC LIMIT 1)
  ) newest ORDER BY created_at DESC NULLS LAST LIMIT 1
) last ON true
CROSS JOIN LATERAL (
  SELECT count(*) AS messages FROM (SELECT FROM ({NEW_MESSAGES}) new_messages LIMIT {MOST_COUNTED}) first_ones
) unread
ORDER BY page.activity {{direction}}, page.id {{direction}}
"""  # noqa: S608 -- our own text

PLACES = {
    "first": "true",
    "older": "(activity, id) < (%(at)s, %(key)s)",
    "newer": "(activity, id) > (%(at)s, %(key)s)",
}

SHOWN = {
    "inbox": NOT_ARCHIVED,
    "unread": f"{NOT_ARCHIVED} AND (page.is_marked_unread OR EXISTS ({NEW_MESSAGES}))",
    "archived": "page.activity <= page.archived_to",
    "offers": "NOT EXISTS (SELECT FROM help_requests own WHERE own.id = page.help_request_id AND own.user_id = %(reader)s)",
    "everything": "true",
}

# The same with its conditions filled in, so that each connection prepares it.
LISTS = {
    (shown, kind): Prepared(LIST.format(place=place, shown=condition, direction="ASC" if kind == "newer" else "DESC"))
    for shown, condition in SHOWN.items()
    for kind, place in PLACES.items()
}

# How much is unread in the inbox. It is asked for every page: where a conversation of the new messaging has had no activity
# since it was read, no message is looked at, and no more than 100 in all.
# Measured: 2 ms with ten conversations, 130 ms with ten thousand legacy ones that are all read.
UNREAD = Prepared(f"""
WITH page AS (
  SELECT * FROM ({INBOX}) page
  WHERE {NOT_ARCHIVED}
    AND (page.version = 'v1' OR page.read_to IS NULL OR page.activity > page.read_to OR page.is_marked_unread)
)
SELECT count(*) FROM (
  SELECT FROM page CROSS JOIN LATERAL (
    {NEW_MESSAGES}
    UNION ALL SELECT 1 WHERE page.is_marked_unread AND NOT EXISTS ({NEW_MESSAGES})
  ) unread
  LIMIT {MOST_COUNTED}
) first_ones
""")  # noqa: S608 -- our own text

# The helper's conversation about a request, of the new messaging first. A legacy one counts where a message ever arrived.
PAIR = Prepared(f"""
WITH pair AS ({messaging_v2.statements.PAIR} UNION ALL {messaging_v1.statements.PAIR})
SELECT id, version FROM pair ORDER BY version DESC, last_message_at DESC NULLS LAST, id DESC LIMIT 1
""")  # noqa: S608 -- our own text

# One conversation goes into the archive as it stands: what comes later, even at this moment, brings it back.
ARCHIVE = f"""
WITH page AS (SELECT * FROM ({BOTH}) both_versions WHERE both_versions.id = %(conversation)s)
INSERT INTO inbox_readpointer (member_id, conversation_id, archived_to)
SELECT %(reader)s, id, activity FROM page
ON CONFLICT (member_id, conversation_id) DO UPDATE SET archived_to = excluded.archived_to
RETURNING conversation_id
"""  # noqa: S608 -- our own text

# A conversation of either version: when its newest message was sent, how a legacy one goes on, and whether a block is in the way
# (true: the reader's own).
_FOUND = """
  SELECT c.id, 'v2' AS version,
         coalesce((SELECT max(m.created_at) FROM messages_v2 m WHERE m.conversation_id = c.id), c.created_at) AS latest,
         NULL::uuid AS continued_as, false AS asked,
         (SELECT block.by_me FROM public.my_blocks() block
          WHERE block.member_id = CASE WHEN c.requester_id = %(reader)s THEN c.helper_id ELSE c.requester_id END) AS blocked_by_me
  FROM conversations_v2 c WHERE c.id = %(conversation)s AND %(reader)s IN (c.requester_id, c.helper_id)
  UNION ALL
  SELECT c.id, 'v1',
         coalesce((SELECT max(m.created_at) FROM messages m WHERE m.conversation_id = c.id), c.created_at,
                  clock_timestamp()),
         (SELECT n.id FROM conversations_v2 n JOIN conversation_participants p ON p.conversation_id = c.id
          WHERE n.help_request_id = c.help_request_id AND n.helper_id = p.user_id LIMIT 1),
         EXISTS (SELECT FROM inbox_continuationrequest a WHERE a.legacy_conversation_id = c.id),
         (SELECT bool_or(block.by_me) FROM public.my_blocks() block
          JOIN conversation_participants p ON p.user_id = block.member_id AND p.conversation_id = c.id)
  FROM conversations c
  JOIN conversation_participants me ON me.conversation_id = c.id AND me.user_id = %(reader)s AND me.left_at IS NULL
  WHERE c.id = %(conversation)s
"""
# With `mark` the reader's pointer moves in the same statement: to what is visible now, so that a message on its way still counts
# as new.
_MOVED = """
  INSERT INTO inbox_readpointer (member_id, conversation_id, read_to)
  SELECT %(reader)s, id, latest FROM found WHERE %(mark)s {and_where}
  ON CONFLICT (member_id, conversation_id) DO UPDATE
  SET read_to = greatest(inbox_readpointer.read_to, excluded.read_to), is_marked_unread = false
  WHERE inbox_readpointer.read_to IS NULL OR inbox_readpointer.read_to < excluded.read_to
    OR inbox_readpointer.is_marked_unread
"""
_REPORTED = """(SELECT array_agg(coalesce(report.message_id, report.conversation_id)) FROM moderation_report report
        WHERE report.reporter_id = %(reader)s AND report.conversation_id = found.id AND report.about = 'message')"""
# Further: who closed it, which messages staff have hidden and which the reader has reported, and up to where the reader had read.
_LOCATION = f"""version, continued_as, asked, blocked_by_me,
       (SELECT closing.closed_by_id FROM safety_closing closing WHERE closing.conversation_id = found.id),
       {HIDDEN["found"]},
       {_REPORTED},
       -- As it was before this statement moved it.
       (SELECT read_to FROM inbox_readpointer WHERE member_id = %(reader)s AND conversation_id = found.id),
       -- For a visit alone: what asks every few seconds, or sends, need not know.
       CASE WHEN %(mark)s THEN (
         SELECT max(notice.until) FROM public.moderation_notices() notice
         WHERE notice.restriction = 'no_messages' AND notice.undone_at IS NULL AND notice.until > clock_timestamp()) END"""  # noqa: S608 -- our own text

LOCATE = Prepared(f"""
WITH found AS ({_FOUND}), moved AS ({_MOVED.format(and_where="")})
SELECT {_LOCATION}
FROM found
""")  # noqa: S608 -- our own text
LOCATION_COLUMNS = 9

# The same with the thread itself, where it is one of the new messaging: one round trip for all that its page shows. A legacy
# thread is not read here, so it is not marked here.
LOCATED_THREAD = {
    place: Prepared(f"""
WITH found AS ({_FOUND}), moved AS ({_MOVED.format(and_where="AND version = 'v2'")})
SELECT {_LOCATION}, thread.*
FROM found LEFT JOIN ({thread}) thread ON true
""")  # noqa: S608 -- our own text
    for place, thread in THREAD.items()
}

# What a poll brings of the new messaging: messages, and which of them staff have hidden and the reader has reported.
POLL_V2 = {
    place: Prepared(f"SELECT {HIDDEN['found']}, {_REPORTED}, found.* FROM ({messages}) found")  # noqa: S608 -- our own text
    for place, messages in MESSAGES.items()
}
