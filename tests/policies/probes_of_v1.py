"""Attempts on the legacy system's three tables, whose own policies stand beside ours."""

from tests.policies.probe import DENIED, EMPTY, GARBAGE, NOT_A_UUID, Probe
from tests.policies.probes_of_v2 import STRANGERS

TABLES = ("conversations", "conversation_participants", "messages")


def opening(request: str = "fresh", creator: str = "helper", **values: str) -> str:
    columns = {"id": "%(new)s", "help_request_id": f"%({request})s", "created_by": f"%({creator})s"} | values
    return f"INSERT INTO conversations ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


def joining(conversation: str, member: str, **values: str) -> str:
    columns = {"conversation_id": f"%({conversation})s", "user_id": f"%({member})s"} | values
    return f"INSERT INTO conversation_participants ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


def sending(
    conversation: str = "active_v1", sender: str = "helper", recipient: str = "requester", **values: str
) -> str:
    columns = {
        "id": "%(another_new)s",
        "conversation_id": f"%({conversation})s",
        "sender_id": f"%({sender})s",
        "recipient_id": f"%({recipient})s",
        "content": "'Hello'",
    } | values
    return f"INSERT INTO messages ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


# What the legacy gateway said before each call; no part of ours ever does.
def claiming(member: str) -> str:
    return f"SELECT set_config('request.jwt.claims', jsonb_build_object('sub', %({member})s::text)::text, true)"


ALLOWED = (
    Probe("a helper reads the legacy conversations he takes part in", "SELECT FROM conversations", 2, "helper"),
    Probe("a requester reads hers", "SELECT FROM conversations", 4, "requester"),
    Probe("a helper sees who takes part in his", "SELECT FROM conversation_participants", 4, "helper"),
    Probe("a helper reads the legacy messages of both sides", "SELECT FROM messages", 2, "helper"),
    Probe("a requester reads the message of the one who left", "SELECT FROM messages", 4, "requester"),
    Probe(
        "a participant locks a legacy conversation",
        "SELECT FROM conversations WHERE id = %(active_v1)s FOR NO KEY UPDATE",
        1,
        "requester",
    ),
    Probe(
        "a helper opens a legacy conversation with both participants and its first message",
        sending("new"),
        1,
        "helper",
        before=(opening(), joining("new", "helper"), joining("new", "requester")),
    ),
    Probe("a helper sends in a legacy conversation", sending(), 1, "helper"),
    Probe("a requester answers", sending(sender="requester", recipient="helper"), 1, "requester"),
    Probe(
        "operations read every legacy message", "SELECT FROM messages WHERE content = 'A legacy secret.'", 4, role="ops"
    ),
)

UNSEEN = (
    *(
        Probe(f"{words} reads nothing of {table}", f"SELECT FROM {table}", 0, actor)
        for table in TABLES
        for actor, words in STRANGERS
    ),
    *(
        Probe(
            f"a participant whom the gateway speaks for in its older words reads nothing of {table}",
            f"SELECT FROM {table}",
            0,
            "requester",
            before=("SELECT set_config('request.jwt.claim.sub', %(requester)s::text, true)",),
        )
        for table in TABLES
    ),
    *(
        Probe(f"a garbage actor is an error in {table}", f"SELECT FROM {table}", NOT_A_UUID, GARBAGE)
        for table in TABLES
    ),
    *(
        Probe(f"an outsider counts nothing in {table}", f"SELECT FROM {table} HAVING count(*) > 0", 0)
        for table in TABLES
    ),
    *(Probe(f"an outsider copies nothing out of {table}", f"COPY {table} TO STDOUT", 0) for table in TABLES),
    *(
        Probe(f"{words} locks no legacy conversation", "SELECT FROM conversations FOR UPDATE", 0, actor)
        for actor, words in STRANGERS
    ),
    *(
        Probe(f"the guard may not read {table}", f"SELECT FROM {table}", DENIED, "helper", role="guard")
        for table in TABLES
    ),
    *(
        Probe(
            f"who left reads nothing more of {table}", f"SELECT FROM {table} WHERE {column} = %(left_v1)s", 0, "leaver"
        )
        for table, column in zip(TABLES, ("id", "conversation_id", "conversation_id"), strict=True)
    ),
    Probe("the legacy sign-ins are not to be read", "SELECT FROM auth.users", DENIED, "helper", needs_legacy=True),
    Probe("nobody learns another's conversations from the function", "SELECT FROM public.my_legacy_conversations()", 0),
    Probe(
        "nobody learns from the other function who opened what",
        "SELECT WHERE public.opens_legacy_conversation_to(%(active_v1)s, %(requester)s)",
        0,
    ),
    Probe(
        "nobody learns who talks to whom from the check on sending",
        "SELECT WHERE public.may_send_legacy_message(%(active_v1)s, %(requester)s)",
        0,
    ),
    *(
        Probe(f"the guard may not call {call.split('(')[0]}", f"SELECT public.{call}", DENIED, "helper", role="guard")
        for call in (
            "my_legacy_conversations()",
            "opens_legacy_conversation_to(%(active_v1)s, %(requester)s)",
            "may_open_legacy_conversation(%(fresh)s)",
            "may_send_legacy_message(%(active_v1)s, %(requester)s)",
        )
    ),
    *(
        Probe(
            f"a list of participants of one's own opens nothing of {table}",
            f"SELECT FROM public.{table}",
            0,
            before=(
                "CREATE TEMP TABLE conversation_participants (conversation_id uuid, user_id uuid, left_at timestamptz)",
                "GRANT SELECT ON conversation_participants TO PUBLIC",
                "INSERT INTO pg_temp.conversation_participants VALUES (%(active_v1)s, %(outsider)s)",
                "SET LOCAL search_path = pg_temp, public",
            ),
        )
        for table in TABLES
    ),
    Probe(
        "a current_member() of one's own is not asked in V1 either",
        "SELECT FROM public.messages",
        0,
        before=(
            "CREATE FUNCTION pg_temp.current_member() RETURNS uuid LANGUAGE sql AS $$ SELECT id FROM public.profiles $$",
            "SET LOCAL search_path = pg_temp, public",
        ),
    ),
)

FORGED = (
    *(Probe(f"{words} opens no legacy conversation", opening(), DENIED, actor) for actor, words in STRANGERS),
    Probe("a legacy conversation has its real creator", opening(creator="other_helper"), DENIED, "helper"),
    Probe("nobody opens one on their own request", opening(creator="requester"), DENIED, "requester"),
    *(
        Probe(f"a {status} request takes no legacy conversation", opening(status), DENIED, "helper")
        for status in ("completed", "cancelled", "closed")
    ),
    Probe("a legacy conversation is about a request", opening(help_request_id="NULL"), DENIED, "helper"),
    Probe("a legacy conversation is not born closed", opening(status="'closed'"), DENIED, "helper"),
    Probe("nobody joins the conversation of others", joining("active_v1", "outsider"), DENIED),
    Probe("a creator brings in no third person", joining("active_v1", "outsider"), DENIED, "helper"),
    Probe("a requester brings in no third person", joining("active_v1", "outsider"), DENIED, "requester"),
    Probe("nobody is put into a conversation of others", joining("orphan_v1", "requester"), DENIED, "helper"),
    Probe(
        "nobody becomes a moderator",
        joining("new", "helper", role="'moderator'"),
        DENIED,
        "helper",
        before=(opening(),),
    ),
    Probe(
        "nobody joins as one who has left",
        joining("new", "requester", left_at="now()"),
        DENIED,
        "helper",
        before=(opening(), joining("new", "helper")),
    ),
    Probe("nobody writes as the other", sending(sender="requester", recipient="helper"), DENIED, "helper"),
    Probe("an outsider writes nothing", sending(sender="outsider"), DENIED),
    Probe("an outsider writes nothing in a participant's name", sending(), DENIED),
    Probe("nobody writes without an actor", sending(), DENIED, None),
    Probe("a message goes to nobody outside", sending(recipient="outsider"), DENIED, "helper"),
    Probe("a message goes to nobody's own address", sending(recipient="helper"), DENIED, "helper"),
    Probe("a closed legacy conversation takes no message", sending("closed_v1"), DENIED, "helper"),
    Probe(
        "nothing goes to one who left", sending("left_v1", sender="requester", recipient="leaver"), DENIED, "requester"
    ),
    Probe("who left writes nothing more", sending("left_v1", sender="leaver"), DENIED, "leaver"),
    Probe("nobody writes as the system", sending(message_type="'system'"), DENIED, "helper"),
    Probe(
        "tables of one's own let nobody in",
        "INSERT INTO public.conversation_participants (conversation_id, user_id) VALUES (%(active_v1)s, %(outsider)s)",
        DENIED,
        before=(
            "CREATE TEMP TABLE conversations (id uuid, created_by uuid, help_request_id uuid)",
            "CREATE TEMP TABLE help_requests (id uuid, user_id uuid)",
            "GRANT SELECT ON pg_temp.conversations, pg_temp.help_requests TO PUBLIC",
            "INSERT INTO pg_temp.conversations VALUES (%(active_v1)s, %(outsider)s, %(fresh)s)",
            "INSERT INTO pg_temp.help_requests VALUES (%(fresh)s, %(outsider)s)",
            "SET LOCAL search_path = pg_temp, public",
        ),
    ),
)

REWRITTEN = (
    Probe("an outsider touches no legacy conversation", "UPDATE conversations SET updated_at = now()", 0),
    Probe("nor does nobody", "UPDATE conversations SET updated_at = now()", 0, None),
    Probe(
        "without WHERE the trigger's columns change only in one's own",
        "UPDATE conversations SET updated_at = now()",
        2,
        "helper",
    ),
    *(
        Probe(
            f"{column} of {table} stays the legacy system's", f"UPDATE {table} SET {column} = {value}", DENIED, "helper"
        )
        for table, column, value in (
            ("conversations", "status", "'closed'"),
            ("conversations", "created_by", "%(helper)s"),
            ("conversations", "help_request_id", "NULL"),
            ("conversations", "title", "'Changed'"),
            ("conversation_participants", "left_at", "now()"),
            ("conversation_participants", "user_id", "%(outsider)s"),
            ("messages", "content", "'Changed'"),
            ("messages", "read_at", "now()"),
            ("messages", "conversation_id", "%(others_v1)s"),
            ("messages", "deleted_at", "now()"),
        )
    ),
    *(Probe(f"nobody deletes from {table}", f"DELETE FROM {table}", DENIED, "helper") for table in TABLES),
    *(Probe(f"nobody empties {table}", f"TRUNCATE {table}", DENIED, "helper") for table in TABLES),
    Probe(
        "who left does not come back over the old row",
        joining("left_v1", "leaver") + " ON CONFLICT (conversation_id, user_id) DO UPDATE SET left_at = NULL",
        DENIED,
        "leaver",
    ),
    Probe(
        "a legacy conversation is not taken over by its id",
        opening(creator="outsider", id="%(active_v1)s") + " ON CONFLICT (id) DO UPDATE SET updated_at = now()",
        DENIED,
    ),
    Probe(
        "a legacy message is not taken over by its id",
        sending(id="%(in_others_v1)s") + " ON CONFLICT (id) DO UPDATE SET content = EXCLUDED.content",
        DENIED,
        "helper",
    ),
)

# Last, because a setting that was once made is never again what it was before: empty, which the legacy function cannot read.
CLAIMED = (
    *(
        Probe(
            f"the legacy gateway's claims open nothing of {table}",
            f"SELECT FROM {table}",
            0,
            EMPTY,
            before=(claiming("helper"),),
            needs_legacy=True,
        )
        for table in TABLES
    ),
    Probe(
        "the legacy gateway's claims let nobody in",
        joining("active_v1", "outsider"),
        DENIED,
        before=(claiming("outsider"),),
        needs_legacy=True,
    ),
    Probe(
        "the legacy gateway's claims open no conversation",
        opening(request="cancelled", creator="outsider"),
        DENIED,
        before=(claiming("outsider"),),
        needs_legacy=True,
    ),
    Probe(
        "the legacy gateway's claims send nothing",
        sending("closed_v1"),
        DENIED,
        "helper",
        before=(claiming("helper"),),
        needs_legacy=True,
    ),
)

PROBES = (*ALLOWED, *UNSEEN, *FORGED, *REWRITTEN)
