"""Members, staff and the rollout act in any order; after each step the database is what the contract says, row by row."""

from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any, ClassVar
from uuid import UUID, uuid5

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rest_framework.test import APIClient

from carecollective.accounts.models import User
from carecollective.core.errors import DomainError
from carecollective.help_requests import services as requests
from carecollective.inbox import services as inbox
from carecollective.inbox.closing import services as closing
from carecollective.inbox.selectors import list_conversations, open_thread
from rollout.models import Flag, Source
from rollout.promotion import services as rollout
from rollout.stages import Stage
from rollout.targeting.cohort import bucket
from rollout.targeting.state import FLAG_NAME
from tests.factories import HelpRequestFactory, UserFactory
from tests.properties.model import CANCELLED, COMPLETED, OPEN, V1, V2, Conversation, Person, Refused, Request, World

NAMESPACE = UUID("5f0c3d8e-3a57-4c55-9a2f-6d7d0f8b9c11")
STAGES = ("disabled", "internal", "percentage:10", "percentage:50", "percentage:100", "enabled")
MOST_REQUESTS = 4
Step = Callable[[], Any]

numbers = st.sampled_from(range(12))
# Strangers are refused the same way every time; most of what is worth trying, participants do.
roles = st.sampled_from(["helper", "requester", "helper", "requester", "stranger"])
either = st.booleans()
seldom = st.sampled_from([False, False, True])

# How often each is tried beside the others, and with what. One rule tries them all: left to itself, Hypothesis switches
# most rules off in each run, and a repeat without a send, or an offer without a request, says little.
ACTIONS: dict[str, tuple[int, dict[str, st.SearchStrategy[Any]]]] = {
    "post_request": (1, {"n": numbers}),
    "offer_help": (4, {"who": numbers, "about": numbers, "api": either}),
    "offer_help_in_anothers_name": (1, {"who": numbers, "other": numbers, "about": numbers}),
    "send": (5, {"role": roles, "where": numbers, "api": either}),
    "send_again": (
        3,
        {
            "role": st.sampled_from(["sender", "sender", "helper", "requester", "stranger"]),
            "which": numbers,
            "where": numbers,
            "changed": seldom,
            "moved": seldom,
            "api": either,
        },
    ),
    "read": (2, {"role": roles, "where": numbers, "how": st.sampled_from(["api", "service", "page"])}),
    "close_or_reopen": (2, {"role": roles, "where": numbers, "closed": either}),
    "continue_in_v2": (3, {"role": st.sampled_from(["helper", "helper", "requester", "stranger"]), "where": numbers}),
    "change_request": (2, {"who": numbers, "which": numbers, "status": st.sampled_from([OPEN, COMPLETED, CANCELLED])}),
    "change_rollout": (4, {"step": st.sampled_from([*STAGES, "enabled", "enabled", "freeze", "thaw", "roll back"])}),
}
actions = st.sampled_from([name for name, (often, _) in ACTIONS.items() for _ in range(often)]).flatmap(
    lambda name: st.tuples(st.just(name), st.fixed_dictionaries(ACTIONS[name][1]))
)


# Where the members lie among the buckets, so that each percentage has some of them, whatever the database's salt.
BANDS = (range(10_000), range(10_000, 50_000), range(50_000, 100_000), range(50_000, 100_000))


def id_within(band: range) -> UUID:
    salt = Flag.objects.get(name=FLAG_NAME).salt
    taken = set(User.objects.values_list("pk", flat=True))
    ids = (uuid5(NAMESPACE, f"member {n}") for n in count())
    return next(key for key in ids if bucket(member_id=key, salt=salt) in band and key not in taken)


class Site(RuleBasedStateMachine):
    """Each action is done in the real site and in the model, and what both say of it is compared."""

    beyond_policies: ClassVar[Any]  # the fixture of that name
    world_type: ClassVar[type[World]] = World
    steps: ClassVar[int] = 0
    outcomes: ClassVar["Counter[str]"]

    def __init__(self) -> None:
        super().__init__()
        self.undo = transaction.atomic()
        self.undo.__enter__()
        self.count = 0

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    @initialize(begin=st.sampled_from([*STAGES, "enabled", "enabled"]))
    def gather(self, begin: str) -> None:
        self.users: dict[UUID, User] = {}
        for n, band in enumerate(BANDS):
            key = id_within(band)
            self.users[key] = UserFactory.create(pk=key, is_staff=n == 3, email=f"property{n}@example.org")
        self.world = self.world_type([Person(key, is_staff=user.is_staff) for key, user in self.users.items()])
        with self.beyond_policies() as cursor:
            cursor.execute("UPDATE rollout_flag SET stage = 'disabled', v1_writes = true WHERE name = 'messaging_v2'")
            cursor.execute("SELECT count(*) FROM rollout_change")
            self.changes_before = cursor.fetchone()[0]
        for person in self.world.people:
            person.bucket = self.client(person).get("/api/rollout/me").json()["bucket"]
        for n in range(2):
            self.post_request(n)
        # One conversation of each version to begin with; what comes then is anybody's guess.
        for n, stage in enumerate(("percentage:100", "disabled")):
            self.move_rollout(stage)
            self.offer_help(n + 1, n, api=True)
        self.move_rollout(begin)

    # Choosing

    def person(self, n: int) -> Person:
        return self.world.people[n % len(self.world.people)]

    def request(self, n: int) -> Request:
        return self.world.requests[n % len(self.world.requests)]

    def conversation(self, n: int) -> Conversation:
        return self.world.conversations[n % len(self.world.conversations)]

    def one_of(self, conversation: Conversation, role: str) -> Person:
        """Return the person of that role in a conversation; a stranger takes no part in it."""
        return next(
            one for one in self.world.people
            if (one.id == conversation.helper, one.id == conversation.request.owner)
            == {"helper": (True, False), "requester": (False, True), "stranger": (False, False)}[role]
        )  # fmt: skip

    def client(self, person: Person) -> APIClient:
        client = APIClient()
        client.force_authenticate(self.users[person.id])
        return client

    # Comparing

    def same(self, expected: Step, actual: Step) -> Any:
        """Do both; return what the real one gave, or None when both refused alike."""
        refused: Refused | None = None
        error: DomainError | None = None
        foreseen = given = None
        try:
            foreseen = expected()
        except Refused as refusal:
            refused = refusal
        try:
            given = actual()
        except DomainError as refusal:
            error = refusal
        assert (error and error.code) == (refused and refused.code), f"foreseen was {refused or foreseen!r}"
        if refused is None or error is None:
            return foreseen, given
        if refused.conversation_id:
            assert UUID(str(error.extra["conversation_id"])) == refused.conversation_id
        self.outcomes[f"refused with {refused.code}"] += 1
        return None

    def call(self, actor: Person, path: str, body: dict[str, Any], *statuses: int) -> Any:
        """Call the API; a refusal in the envelope is raised as the services raise it."""
        answer = self.client(actor).post(path, body, format="json")
        if answer.status_code in statuses:
            return answer
        error = answer.json()["error"]
        refusal = DomainError(
            error["message"], **{k: v for k, v in error.items() if k not in ("code", "message", "retry_after")}
        )
        refusal.code = error["code"]  # type: ignore[misc]
        raise refusal

    # What people do

    @rule(action=actions)
    def act(self, action: tuple[str, dict[str, Any]]) -> None:
        name, given = action
        getattr(self, name)(**given)

    def post_request(self, n: int) -> None:
        if len(self.world.requests) == MOST_REQUESTS:
            return
        owner = self.person(n % 3)
        self.count += 1
        key = uuid5(NAMESPACE, f"request {self.count}")
        HelpRequestFactory.create(pk=key, user=self.users[owner.id])
        self.world.requests.append(Request(key, owner.id))

    def offer_help(self, who: int, about: int, api: bool) -> None:
        request = self.request(about)
        # Mostly somebody else's request, as one's own is refused every time.
        others = [one for one in self.world.people if one.id != request.owner]
        actor = others[who % 3] if who < 10 else next(one for one in self.world.people if one.id == request.owner)
        self.count += 1
        text = f"Hello, this is offer number {self.count}."
        path = f"/api/messaging/help-requests/{request.id}/start-conversation"

        def offer() -> tuple[UUID, str]:
            if api:
                body = self.call(actor, path, {"initial_message": text}, 201).json()
                return UUID(body["conversation_id"]), body["version"]
            started = inbox.offer_help(actor=self.users[actor.id], help_request_id=request.id, initial_message=text)
            return started.conversation_id, str(started.version)

        if both := self.same(lambda: self.world.may_offer(actor, request), offer):
            version, (key, given) = both
            assert given == version
            self.world.add_conversation(key, version, actor, request, text)
            self.outcomes[f"started in {version}"] += 1

    def offer_help_in_anothers_name(self, who: int, other: int, about: int) -> None:
        actor, named, request = self.person(who), self.person(other), self.request(about)
        if actor is named:
            return
        path = f"/api/messaging/help-requests/{request.id}/start-conversation"
        body = {"initial_message": "Hello, I can help you.", "helper_id": str(named.id)}
        answer = self.client(actor).post(path, body, format="json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")

    def send(self, role: str, where: int, api: bool) -> None:
        self.count += 1
        self.say(
            role, self.conversation(where), uuid5(NAMESPACE, f"message {self.count}"), f"Message {self.count}", api
        )

    def send_again(self, role: str, which: int, where: int, changed: bool, moved: bool, api: bool) -> None:
        """Under an id that has been used: with the same words or others, in its conversation or another, by anybody."""
        used = [(one, said) for one in self.world.conversations for said in one.said if said.id]
        if not used:
            return
        place, said = used[which % len(used)]
        assert said.id is not None
        text = "In other words" if changed else said.content
        if role == "sender":
            role = "helper" if said.sender == place.helper else "requester"
        self.say(role, self.conversation(where) if moved else place, said.id, text, api)

    def say(self, role: str, conversation: Conversation, key: UUID, text: str, api: bool) -> None:
        actor = self.one_of(conversation, role)

        def speak() -> bool:
            if api:
                path = f"/api/messaging/conversations/{conversation.id}/messages"
                answer = self.call(actor, path, {"content": text, "id": str(key)}, 200, 201)
                assert answer.json()["message_id"] == str(key)
                return bool(answer.status_code == 201)
            sent = inbox.send_message(
                actor=self.users[actor.id], conversation_id=conversation.id, content=text, message_id=key
            )
            return sent.is_new

        if both := self.same(lambda: self.world.send(actor, conversation, key, text), speak):
            assert both[0] == both[1]
            self.outcomes[f"sent in {conversation.version}" if both[0] else "found to be sent already"] += 1

    def read(self, role: str, where: int, how: str) -> None:
        conversation = self.conversation(where)
        actor = self.one_of(conversation, role)
        user = self.users[actor.id]

        def mark() -> None:
            match how:
                case "api":
                    self.call(actor, f"/api/messaging/conversations/{conversation.id}/read", {}, 204)
                case "service":
                    inbox.mark_read(actor=user, conversation_id=conversation.id)
                case _:
                    open_thread(reader=user, conversation_id=conversation.id, mark_read=True)

        self.same(lambda: self.world.mark_read(actor, conversation), mark)

    def close_or_reopen(self, role: str, where: int, closed: bool) -> None:
        conversation = self.conversation(where)
        actor = self.one_of(conversation, role)
        service = closing.close_conversation if closed else closing.reopen_conversation
        self.same(
            lambda: self.world.set_status(actor, conversation, "closed" if closed else "active"),
            lambda: service(actor=self.users[actor.id], conversation_id=conversation.id),
        )

    def continue_in_v2(self, role: str, where: int) -> None:
        legacy = [one for one in self.world.conversations if one.version == V1]
        conversation = legacy[where % len(legacy)] if where < 10 else self.conversation(where)
        actor = self.one_of(conversation, role)
        self.count += 1
        text = f"Let us go on here, number {self.count}."
        both = self.same(
            lambda: self.world.may_continue(actor, conversation),
            lambda: inbox.continue_in_v2(
                actor=self.users[actor.id], conversation_id=conversation.id, initial_message=text
            ),
        )
        if both:
            assert both[1].version == V2
            self.world.add_conversation(both[1].conversation_id, V2, actor, conversation.request, text)
            self.outcomes["continued in v2"] += 1

    def change_request(self, who: int, which: int, status: str) -> None:
        request = self.request(which)
        # Mostly its owner: a stranger's try is the same refusal every time.
        actor = self.person(who) if who > 6 else next(one for one in self.world.people if one.id == request.owner)
        service = {
            OPEN: requests.reopen_request,
            COMPLETED: requests.complete_request,
            CANCELLED: requests.cancel_request,
        }[status]
        self.same(
            lambda: self.world.change_request(actor, request, status),
            lambda: service(actor=self.users[actor.id], help_request_id=request.id),
        )

    # What the rollout does

    def change_rollout(self, step: str) -> None:
        match step:
            case "roll back":
                rollout.roll_back(actor=None, reason="a step of the test", source=Source.COMMAND)
                self.world.move_to("disabled")
            case "freeze" | "thaw":
                self.switch_v1_writes(step == "thaw")
            case _:
                self.move_rollout(step)

    def move_rollout(self, stage: str) -> None:
        if stage == self.world.stage:
            return
        rollout.change_stage(
            actor=None, stage=Stage.parse(stage), reason="a step of the test", source=Source.COMMAND, override=True
        )
        self.world.move_to(stage)

    def switch_v1_writes(self, on: bool) -> None:
        if on == self.world.v1_writes:
            return
        rollout.set_v1_writes(actor=None, on=on, reason="a step of the test", source=Source.COMMAND)
        self.world.set_v1_writes(on)

    # What must be so

    @invariant()
    def the_database_holds_what_the_model_does_and_nothing_else(self) -> None:
        type(self).steps += 1
        mine = [one.id for one in self.world.requests]
        with self.beyond_policies() as cursor:

            def rows(statement: str, *values: Any) -> list[tuple[Any, ...]]:
                cursor.execute(statement, values)
                return list(cursor.fetchall())

            conversations = rows(
                """
                SELECT id, 'v2', help_request_id, requester_id, helper_id, initial_message, status
                FROM conversations_v2 WHERE help_request_id = ANY (%s)
                UNION ALL
                SELECT c.id, 'v1', c.help_request_id,
                  (SELECT user_id FROM conversation_participants p WHERE p.conversation_id = c.id AND user_id <> created_by),
                  created_by, NULL, status
                FROM conversations c WHERE help_request_id = ANY (%s)
                """,
                mine, mine,
            )  # fmt: skip
            said = rows(
                """
                SELECT m.conversation_id, m.id, m.sender_id, m.content, m.created_at
                FROM messages_v2 m JOIN conversations_v2 c ON c.id = m.conversation_id WHERE c.help_request_id = ANY (%s)
                UNION ALL
                SELECT m.conversation_id, m.id, m.sender_id, m.content, m.created_at
                FROM messages m JOIN conversations c ON c.id = m.conversation_id WHERE c.help_request_id = ANY (%s)
                ORDER BY 5, 2
                """,
                mine, mine,
            )  # fmt: skip
            requests_held = rows("SELECT id, user_id, status FROM help_requests WHERE id = ANY (%s)", mine)
            broken = rows("SELECT * FROM rollout_broken_conversations('-infinity') WHERE broken > 0")
            flag = rows("SELECT stage, v1_writes FROM rollout_flag WHERE name = 'messaging_v2'")
            changes = rows("SELECT count(*) FROM rollout_change")
        assert broken == []
        assert flag == [(self.world.stage, self.world.v1_writes)]
        assert changes == [(self.changes_before + self.world.changes,)], "each change of the rollout is recorded once"
        assert sorted(requests_held) == sorted((one.id, one.owner, one.status) for one in self.world.requests)
        assert sorted(conversations, key=str) == sorted(
            (
                (
                    one.id, one.version, one.request.id, one.request.owner, one.helper,
                    one.said[0].content if one.version == V2 else None,
                    # A legacy conversation is closed in a table of ours.
                    one.status if one.version == V2 else "active",
                )
                for one in self.world.conversations
            ),
            key=str,
        )  # fmt: skip
        for one in self.world.conversations:
            held = [(key, sender, text) for place, key, sender, text, _at in said if place == one.id]
            foreseen = one.said[1:] if one.version == V2 else one.said
            assert [(sender, text) for _key, sender, text in held] == [(each.sender, each.content) for each in foreseen]
            named = [(key, each.id) for (key, *_), each in zip(held, foreseen, strict=True) if each.id]
            assert all(key == given for key, given in named)
        assert len(said) == sum(len(one.said) - (one.version == V2) for one in self.world.conversations)

    @invariant()
    def everyone_sees_their_own_conversations_in_whatever_stage_and_no_others(self) -> None:
        for person in self.world.people:
            page = list_conversations(reader=self.users[person.id], size=50)
            seen = {(row.id, str(row.version), row.unread_count, row.status) for row in page.rows}
            assert seen == {
                (one.id, one.version, one.unread_by(person.id), one.status)
                for one in self.world.conversations
                if person.id in one.people
            }
