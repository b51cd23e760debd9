"""Attempts on what staff see, on copies of members' data, and on what only a named actor may do."""

from tests.policies.probe import DENIED, EMPTY, Probe
from tests.policies.probes_of_v2 import STRANGERS

TABLES = ("moderation_report", "moderation_look", "privacy_export", "privacy_exportfile")
UNKNOWN_FUNCTION = "42883"
ACCOUNT_FOR = "INSERT INTO privacy_export (id, member_id, requested_by_id, state, attempts, done) VALUES (%(new)s, {}, {}, 'waiting', 0, 0)"
BY_A_LOOK = "SELECT FROM public.moderation_show(%(report)s, public.moderation_note_look(%(report)s))"
SETTLE = "UPDATE moderation_report SET status = 'dismissed', settled_by_id = {}, settled_at = now()"


def reporting(reporter: str, **values: str) -> str:
    columns = {
        "id": "%(new)s",
        "version": "'v2'",
        "conversation_id": "%(active_v2)s",
        "reason": "'other'",
        "words": "''",
        "status": "'pending'",
        "reporter_id": f"%({reporter})s",
        "author_id": "%(other_helper)s",
    } | values
    return f"INSERT INTO moderation_report ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


def asking_for(member: str, by: str) -> str:
    return ACCOUNT_FOR.format(f"%({member})s", f"%({by})s")


REPORTS = (
    *(Probe(f"{who} reads nothing of {table}", f"SELECT FROM {table}", 0, actor)
      for table in TABLES for actor, who in STRANGERS),
    Probe("whom a report is about reads nothing of it", "SELECT FROM moderation_report", 0, "helper"),
    Probe("who reported reads their own report", "SELECT FROM moderation_report", 1, "requester"),
    Probe("staff read reports", "SELECT FROM moderation_report", 1, "staff"),
    Probe("staff see who has looked", "SELECT FROM moderation_look", 1, "staff"),
    Probe("who reported does not see who has looked", "SELECT FROM moderation_look", 0, "requester"),
    Probe("a member reports", reporting("requester"), 1, "requester"),
    Probe("nobody reports in another's name", reporting("requester"), DENIED, "outsider"),
    Probe("not even staff report in another's name", reporting("requester"), DENIED, "staff"),
    Probe("nobody reports without an actor", reporting("requester"), DENIED, None),
    Probe("a report is not born settled", reporting("requester", status="'dismissed'"), DENIED, "requester"),
    Probe("staff settle a report", SETTLE.format("%(staff)s"), 1, "staff"),
    Probe("staff settle in their own name", SETTLE.format("%(administrator)s"), DENIED, "staff"),
    *(Probe(f"{who} settles nothing", SETTLE.format("%(staff)s"), 0, actor) for actor, who in STRANGERS),
    Probe("who reported settles nothing", SETTLE.format("%(requester)s"), 0, "requester"),
    Probe("nobody rewrites a report", "UPDATE moderation_report SET words = ''", DENIED, "staff"),
    *(Probe(f"nobody deletes from {table}", f"DELETE FROM {table}", DENIED, "staff") for table in TABLES),
    Probe("nobody writes down a look by hand",
          "INSERT INTO moderation_look (report_id, is_legacy, staff_id) VALUES (%(report)s, false, %(staff)s)", DENIED, "staff"),
    Probe("staff see what was reported by a look of their own", BY_A_LOOK, 2, "staff"),
    Probe("staff see nothing by another's look", "SELECT FROM public.moderation_show(%(report)s, (SELECT max(id) FROM moderation_look))", 0,
          "administrator"),
    *(Probe(f"{who} looks at no reported message", BY_A_LOOK, DENIED, actor)
      for actor, who in (*STRANGERS, ("requester", "who reported"))),
    *(Probe(f"{who} sees nothing by a look of staff", "SELECT FROM public.moderation_show(%(report)s, 1)", DENIED, actor)
      for actor, who in (*STRANGERS, ("requester", "who reported"))),
)  # fmt: skip

EXPORTS = (
    Probe("a member sees that a copy of their data is ready", "SELECT FROM privacy_export", 1, "requester"),
    Probe("a member downloads their own", "SELECT FROM privacy_exportfile", 1, "requester"),
    Probe("staff see that there is one", "SELECT FROM privacy_export", 1, "staff"),
    Probe("staff download nobody's", "SELECT FROM privacy_exportfile", 0, "administrator"),
    Probe("a member asks for a copy of their own", asking_for("helper", "helper"), 1, "helper"),
    Probe("nobody asks for another's", asking_for("helper", "outsider"), DENIED),
    Probe("nobody asks in another's name", asking_for("helper", "helper"), DENIED),
    Probe("staff ask for a member", asking_for("helper", "staff"), 1, "staff"),
    Probe("staff ask in their own name", asking_for("helper", "helper"), DENIED, "staff"),
    Probe("nobody asks without an actor", asking_for("helper", "helper"), DENIED, None),
    Probe("nobody moves another's on", "UPDATE privacy_export SET state = 'failed'", 0, "outsider"),
    Probe("staff move nobody's on", "UPDATE privacy_export SET state = 'failed'", 0, "staff"),
    Probe("a copy is not given to another", "UPDATE privacy_export SET member_id = %(helper)s", DENIED, "requester"),
)  # fmt: skip

# Without an actor nothing may be done that is done in somebody's name.
PRIVILEGED = (
    *(Probe(f"{who} erases nobody", "SELECT public.privacy_erase_member(%(helper)s)", DENIED, actor)
      for actor, who in STRANGERS),
    *(Probe(f"{who} erases nobody at all", "SELECT public.privacy_erase_member(NULL)", DENIED, actor)
      for actor, who in (*STRANGERS, ("staff", "staff"))),
    Probe("a member erases no other", "SELECT public.privacy_erase_member(%(requester)s)", DENIED, "helper"),
    Probe("a member erases themselves", "SELECT public.privacy_erase_member(%(helper)s)", 1, "helper"),
    Probe("staff erase a member", "SELECT public.privacy_erase_member(%(helper)s)", 1, "staff"),
    Probe("staff erase no member of staff", "SELECT public.privacy_erase_member(%(administrator)s)", DENIED, "staff"),
    Probe("an administrator erases a member of staff", "SELECT public.privacy_erase_member(%(staff)s)", 1, "administrator"),
    *(Probe(f"the web does not choose how much {function} deletes", f"SELECT public.{function}(1)", UNKNOWN_FUNCTION, EMPTY)
      for function in ("rollout_prune_events", "privacy_prune_exports")),
    *(Probe(f"the web does not {statement.split()[0].lower()} how long things are kept", statement, DENIED)
      for statement in ("UPDATE core_retentionperiod SET days = 1", "DELETE FROM core_retentionperiod",
                        "INSERT INTO core_retentionperiod (kind, days) VALUES ('mail', 1)")),
    *(Probe(f"what staff did is not {statement.split()[0].lower()}d", statement, DENIED, "administrator")
      for statement in ("UPDATE django_admin_log SET change_message = ''", "DELETE FROM django_admin_log")),
    *(Probe(f"the web stores no large object with {call.split('(')[0]}", f"SELECT {call}", DENIED)
      for call in ("lo_creat(-1)", "lo_create(0)", "lo_from_bytea(0, 'x')", "lo_open(1, 131072)", "lo_get(1)",
                   "lo_put(1, 0, 'x')", "lo_unlink(1)", "loread(0, 1)", "lowrite(0, 'x')", "lo_truncate(0, 0)")),
)  # fmt: skip

PROBES = (*REPORTS, *EXPORTS, *PRIVILEGED)
