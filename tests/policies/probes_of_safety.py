"""Attempts on blocks and closings, and around them."""

from tests.policies.probe import CHECKED, DENIED, Probe
from tests.policies.probes_of_v2 import STRANGERS, opening, sending

TABLES = ("safety_block", "safety_closing")
BLOCK = "INSERT INTO safety_block (id, blocker_id, blocked_id) VALUES (%(new)s, %({})s, %({})s)"
CLOSE = "INSERT INTO safety_closing (conversation_id, version, closed_by_id) VALUES (%({})s, '{}', %({})s)"
CLOSE_V2 = "UPDATE conversations_v2 SET status = 'closed' WHERE id = %(active_v2)s"
REOPEN_V2 = "UPDATE conversations_v2 SET status = 'active' WHERE id = %(closed_v2)s"
SEND_V1 = (
    "INSERT INTO messages (id, conversation_id, sender_id, recipient_id, content)"
    " VALUES (%(new)s, %({})s, %({})s, %({})s, 'Hello')"
)
RESTRICT = "INSERT INTO safety_restriction (id, member_id, kind, until) VALUES (%(new)s, %({})s, 'no_offers', now() + interval '1 day')"
HIDE = "INSERT INTO safety_hiddenmessage (id, conversation_id) VALUES (%(new)s, %(active_v2)s)"
ACT = (
    "INSERT INTO moderation_act (id, kind, member_id, report_id, reason, words, undone_reason, staff_id)"
    " VALUES (%(new)s, 'warn', %(helper)s, %(report)s, '', '', '', %({})s)"
)
ACT_AS = "SELECT set_config('app.user_id', %({})s::text, true)"
BLOCKED = (ACT_AS.format("requester"), BLOCK.format("requester", "helper"), ACT_AS.format("helper"))

PROBES = (
    Probe("who blocked reads the block", "SELECT FROM safety_block", 1, "leaver"),
    *(Probe(f"{who} reads no block", "SELECT FROM safety_block", 0, actor) for actor, who in STRANGERS),
    Probe("not even staff read a block", "SELECT FROM safety_block", 0, "staff"),
    Probe("a member blocks", BLOCK.format("helper", "outsider"), 1, "helper"),
    Probe("nobody blocks for another", BLOCK.format("helper", "requester"), DENIED, "outsider"),
    Probe("nobody blocks themselves", BLOCK.format("helper", "helper"), CHECKED, "helper"),
    Probe("who is blocked ends no block", "DELETE FROM safety_block", 0, "outsider"),
    Probe("who blocked ends it", "DELETE FROM safety_block", 1, "leaver"),
    Probe("a block is not rewritten", "UPDATE safety_block SET blocked_id = %(helper)s", DENIED, "leaver"),
    Probe("who is blocked opens no conversation", opening(), DENIED, "helper", before=BLOCKED),
    Probe("who is blocked sends nothing", sending(), DENIED, "helper", before=BLOCKED),
    Probe("who blocked sends nothing either", sending(sender="requester"), DENIED, "requester",
          before=(BLOCK.format("requester", "helper"),)),
    Probe("who is blocked sends nothing in V1", SEND_V1.format("active_v1", "helper", "requester"), DENIED, "helper",
          before=BLOCKED),
    Probe("nobody sends into a V1 conversation that was closed here",
          SEND_V1.format("others_v1", "other_helper", "requester"), DENIED, "other_helper"),
    Probe("both sides see who closed", "SELECT FROM safety_closing", 2, "requester"),
    Probe("the other side sees who closed", "SELECT FROM safety_closing", 1, "other_helper"),
    *(Probe(f"{who} sees no closing", "SELECT FROM safety_closing", 0, actor) for actor, who in STRANGERS),
    Probe("a participant closes a V1 conversation", CLOSE.format("active_v1", "v1", "helper"), 1, "helper"),
    Probe("nobody closes in another's name", CLOSE.format("active_v1", "v1", "requester"), DENIED, "helper"),
    Probe("nobody closes a V1 conversation of others", CLOSE.format("active_v1", "v1", "outsider"), DENIED, "outsider"),
    Probe("nobody writes a closing of V2 by hand", CLOSE.format("active_v2", "v2", "helper"), DENIED, "helper"),
    Probe("who closed a V1 conversation opens it, and not one of V2 this way", "DELETE FROM safety_closing", 1, "requester"),
    Probe("nobody opens what another closed", "DELETE FROM safety_closing", 0, "other_helper"),
    Probe("a closing is not rewritten", "UPDATE safety_closing SET closed_by_id = %(helper)s", DENIED, "helper"),
    Probe("who closed a V2 conversation opens it", REOPEN_V2, 1, "requester"),
    Probe("nobody else opens a V2 conversation", REOPEN_V2, DENIED, "helper"),
    Probe("closing a V2 conversation is kept", "SELECT FROM safety_closing WHERE closed_by_id = %(helper)s", 1, "helper",
          before=(CLOSE_V2,)),
    *(Probe(f"nobody empties {table}", f"TRUNCATE {table}", DENIED, "staff") for table in TABLES),
    *(Probe(f"{who} reads no restriction and no act", "SELECT id FROM safety_restriction UNION SELECT id FROM moderation_act", 0,
            actor) for actor, who in STRANGERS),
    Probe("staff restrict a member", RESTRICT.format("helper"), 1, "staff"),
    Probe("staff do not restrict themselves", RESTRICT.format("staff"), DENIED, "staff"),
    Probe("a member restricts nobody", RESTRICT.format("helper"), DENIED, "requester"),
    Probe("a member lifts nothing", "UPDATE safety_restriction SET lifted_at = now()", 0, "helper"),
    Probe("staff hide a message", HIDE, 1, "staff"),
    Probe("a participant hides nothing", HIDE, DENIED, "requester"),
    Probe("staff act in their own name", ACT.format("staff"), 1, "staff"),
    Probe("staff do not act in another's name", ACT.format("administrator"), DENIED, "staff"),
    Probe("a member acts on nobody", ACT.format("requester"), DENIED, "requester"),
    Probe("nobody rewrites an act", "UPDATE moderation_act SET reason = ''", DENIED, "staff"),
    Probe("without an actor nobody may write to anybody",
          "SELECT WHERE public.may_write_to(%(helper)s, false)", 0, None),
)  # fmt: skip
