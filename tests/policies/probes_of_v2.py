"""Attempts on the new messaging's two tables."""

from tests.policies.probe import CHECKED, DENIED, EMPTY, GARBAGE, NOT_A_UUID, NOT_SUPPORTED, TAKEN, Probe

TABLES = ("conversations_v2", "messages_v2")
STRANGERS = ((None, "no actor"), (EMPTY, "an empty actor"), ("outsider", "an outsider"))


def opening(request: str = "fresh", requester: str = "requester", helper: str = "helper", **values: str) -> str:
    columns = {
        "id": "%(new)s",
        "help_request_id": f"%({request})s",
        "requester_id": f"%({requester})s",
        "helper_id": f"%({helper})s",
        "initial_message": "'I can help you.'",
    } | values
    return f"INSERT INTO conversations_v2 ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


def sending(conversation: str = "active_v2", sender: str = "helper", content: str = "'Hello'", key: str = "new") -> str:
    return (
        "INSERT INTO messages_v2 (id, conversation_id, sender_id, content)"
        f" VALUES (%({key})s, %({conversation})s, %({sender})s, {content})"
    )


ALLOWED = (
    Probe("a helper reads the helper's own conversations", "SELECT FROM conversations_v2", 2, "helper"),
    Probe("a requester reads all conversations about the requests", "SELECT FROM conversations_v2", 3, "requester"),
    Probe("a helper reads the messages of the helper's own", "SELECT FROM messages_v2", 2, "helper"),
    Probe("a requester reads the messages of all of them", "SELECT FROM messages_v2", 3, "requester"),
    Probe("a helper opens a conversation about an open request", opening(), 1, "helper"),
    Probe("a helper opens a conversation about one in progress", opening("in_progress"), 1, "helper"),
    Probe("a helper sends", sending(), 1, "helper"),
    Probe("a requester sends", sending(sender="requester"), 1, "requester"),
    Probe(
        "a participant locks a conversation",
        "SELECT FROM conversations_v2 WHERE id = %(active_v2)s FOR NO KEY UPDATE",
        1,
        "requester",
    ),
    *(
        Probe(
            f"a {actor} closes a conversation",
            "UPDATE conversations_v2 SET status = 'closed', updated_at = clock_timestamp() WHERE id = %(active_v2)s",
            1,
            actor,
        )
        for actor in ("helper", "requester")
    ),
    Probe("operations read every conversation for the backup", "SELECT FROM conversations_v2", 3, None, role="ops"),
    Probe("operations read every message for the backup", "SELECT FROM messages_v2", 3, None, role="ops"),
)

UNSEEN = (
    *(
        Probe(f"{words} reads nothing of {table}", f"SELECT FROM {table}", 0, actor)
        for table in TABLES
        for actor, words in STRANGERS
    ),
    *(
        Probe(f"a garbage actor is an error in {table}", f"SELECT FROM {table}", NOT_A_UUID, GARBAGE)
        for table in TABLES
    ),
    *(
        Probe(f"an outsider counts nothing in {table}", f"SELECT FROM {table} HAVING count(*) > 0", 0)
        for table in TABLES
    ),
    *(
        Probe(f"{words} locks no conversation {strength}", f"SELECT FROM conversations_v2 {strength}", 0, actor)
        for actor, words in STRANGERS
        for strength in ("FOR UPDATE", "FOR NO KEY UPDATE", "FOR KEY SHARE")
    ),
    *(Probe(f"an outsider copies nothing out of {table}", f"COPY {table} TO STDOUT", 0) for table in TABLES),
    *(
        Probe(
            f"what the planner knows of {table} is not told",
            f"SELECT FROM pg_stats WHERE schemaname = 'public' AND tablename = '{table}'",
            0,
            "helper",
        )
        for table in TABLES
    ),
    *(
        Probe(f"even the owner sees nothing of {table}", f"SELECT FROM {table}", 0, "helper", role="owner")
        for table in TABLES
    ),
    *(
        Probe(f"the guard may not read {table}", f"SELECT FROM {table}", DENIED, "helper", role="guard")
        for table in TABLES
    ),
    Probe(
        "a helper does not see what the requester talks about with another",
        "SELECT FROM conversations_v2 WHERE id = %(others_v2)s",
        0,
        "helper",
    ),
    Probe(
        "a helper does not read what another wrote about the same request",
        "SELECT FROM messages_v2 WHERE conversation_id = %(others_v2)s",
        0,
        "helper",
    ),
    Probe(
        "a cheap function in the condition is not shown what others wrote",
        "SELECT FROM messages_v2 WHERE pg_temp.peek(content)",
        0,
        before=(
            "CREATE FUNCTION pg_temp.peek(said text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS"
            " $$ BEGIN RAISE EXCEPTION 'It says %', said; END $$",
        ),
    ),
    Probe(
        "a statement prepared by one member reads nothing for the next",
        "EXECUTE mine",
        0,
        "helper",
        before=(
            "PREPARE mine AS SELECT FROM conversations_v2",
            "EXECUTE mine",
            "SELECT set_config('app.user_id', %(outsider)s::text, true)",
        ),
    ),
    Probe(
        "a current_member() of one's own is not asked",
        "SELECT FROM conversations_v2",
        0,
        before=(
            "CREATE FUNCTION pg_temp.current_member() RETURNS uuid LANGUAGE sql AS"
            " $$ SELECT helper_id FROM public.conversations_v2 $$",
            "SET LOCAL search_path = pg_temp, public",
        ),
    ),
    Probe(
        "a table of requests of one's own is not asked",
        "INSERT INTO public.conversations_v2 (id, help_request_id, requester_id, helper_id, initial_message)"
        " VALUES (%(new)s, %(cancelled)s, %(requester)s, %(helper)s, 'I can help you.')",
        DENIED,
        "helper",
        before=(
            "CREATE TEMP TABLE help_requests (id uuid, user_id uuid, status text)",
            "INSERT INTO pg_temp.help_requests VALUES (%(cancelled)s, %(requester)s, 'open')",
            "SET LOCAL search_path = pg_temp, public",
        ),
    ),
)

FORGED = (
    *(Probe(f"{words} opens no conversation", opening(), DENIED, actor) for actor, words in STRANGERS),
    Probe("nobody opens a conversation in another helper's name", opening(helper="other_helper"), DENIED, "helper"),
    Probe("not even the requester opens one in a helper's name", opening(), DENIED, "requester"),
    Probe("a helper names no other requester than the request's", opening(requester="outsider"), DENIED, "helper"),
    Probe("nobody offers help on their own request", opening(helper="requester"), CHECKED, "requester"),
    *(
        Probe(f"a {status} request takes no conversation", opening(status), DENIED, "helper")
        for status in ("completed", "cancelled", "closed")
    ),
    Probe("a conversation is not born closed", opening(status="'closed'"), DENIED, "helper"),
    Probe("a pair has one conversation about a request", opening("talked_about"), TAKEN, "helper"),
    Probe("a first message of nine characters is refused", opening(initial_message="'123456789'"), CHECKED, "helper"),
    Probe("nine characters among spaces are nine", opening(initial_message="'  123456789  '"), CHECKED, "helper"),
    Probe("a first message of 1001 is refused", opening(initial_message="repeat('x', 1001)"), CHECKED, "helper"),
    Probe("nobody sends in the name of the other", sending(sender="requester"), DENIED, "helper"),
    Probe("an outsider sends nothing", sending(sender="outsider"), DENIED),
    Probe("an outsider sends nothing in a participant's name", sending(), DENIED),
    Probe("nobody sends without an actor", sending(), DENIED, None),
    Probe("a helper sends nothing into another's conversation", sending("others_v2"), DENIED, "helper"),
    Probe("a closed conversation takes no message", sending("closed_v2"), DENIED, "helper"),
    Probe("an empty message is refused", sending(content="''"), CHECKED, "helper"),
    Probe("a message of spaces is refused", sending(content="'   '"), CHECKED, "helper"),
    Probe("a message of 1001 characters is refused", sending(content="repeat('x', 1001)"), CHECKED, "helper"),
    Probe("nothing is copied in past the policies", "COPY messages_v2 FROM STDIN", NOT_SUPPORTED, "helper"),
)

REWRITTEN = (
    *(
        Probe(f"{words} closes nothing", "UPDATE conversations_v2 SET status = 'closed'", 0, actor)
        for actor, words in STRANGERS
    ),
    Probe("without WHERE one changes only one's own", "UPDATE conversations_v2 SET status = 'closed'", 2, "helper"),
    Probe("there is no other status", "UPDATE conversations_v2 SET status = 'hidden'", CHECKED, "helper"),
    *(
        Probe(
            f"a {actor} does not change {column}",
            f"UPDATE conversations_v2 SET {column} = {value} WHERE id = %(active_v2)s",
            DENIED,
            actor,
        )
        # Who takes part stays a participant while changing the other: the policy alone would allow that.
        for actor, column, value in (
            ("helper", "id", "%(new)s"),
            ("helper", "help_request_id", "%(fresh)s"),
            ("helper", "requester_id", "%(outsider)s"),
            ("requester", "helper_id", "%(outsider)s"),
            # To itself: another text would be stopped by a trigger too, and the grant is what is proved here.
            ("helper", "initial_message", "initial_message"),
            ("helper", "created_at", "now()"),
        )
    ),
    *(
        Probe(
            f"the {column} of a message never changes", f"UPDATE messages_v2 SET {column} = {value}", DENIED, "helper"
        )
        for column, value in (
            ("content", "content"),
            ("conversation_id", "%(others_v2)s"),
            ("sender_id", "%(requester)s"),
            ("created_at", "now()"),
        )
    ),
    *(Probe(f"nobody deletes from {table}", f"DELETE FROM {table}", DENIED, "helper") for table in TABLES),
    *(Probe(f"nobody empties {table}", f"TRUNCATE {table}", DENIED, "helper") for table in TABLES),
    Probe(
        "an existing conversation is not taken over by its id",
        opening(id="%(active_v2)s", helper="outsider") + " ON CONFLICT (id) DO UPDATE SET status = 'closed'",
        DENIED,
    ),
    Probe(
        "nor by its pair",
        opening("talked_about") + " ON CONFLICT (help_request_id, helper_id) DO UPDATE SET helper_id = %(outsider)s",
        DENIED,
        "helper",
    ),
    Probe(
        "an existing message is not taken over by its id",
        sending(key="in_others_v2") + " ON CONFLICT (id) DO UPDATE SET content = EXCLUDED.content",
        DENIED,
        "helper",
    ),
    Probe(
        "an own message is not rewritten by its id either",
        sending(key="in_active_v2") + " ON CONFLICT (id) DO UPDATE SET content = EXCLUDED.content",
        DENIED,
        "helper",
    ),
)

PROBES = (*ALLOWED, *UNSEEN, *FORGED, *REWRITTEN)
