"""What the site should be, in a few lines of plain Python: the contract without its database."""

from dataclasses import dataclass, field
from uuid import UUID

V1, V2 = "v1", "v2"
OPEN, COMPLETED, CANCELLED = "open", "completed", "cancelled"


class Refused(Exception):
    """The contract's code for a refusal."""

    def __init__(self, code: str, conversation_id: UUID | None = None) -> None:
        self.code, self.conversation_id = code, conversation_id
        super().__init__(code)


@dataclass(slots=True)
class Person:
    id: UUID
    is_staff: bool = False
    bucket: int = 0


@dataclass(slots=True)
class Request:
    id: UUID
    owner: UUID
    status: str = OPEN


@dataclass(slots=True)
class Said:
    id: UUID | None  # None for the first message, which takes no id from its sender
    sender: UUID
    content: str


@dataclass(slots=True)
class Conversation:
    id: UUID
    version: str
    request: Request
    helper: UUID
    said: list[Said]
    status: str = "active"
    closed_by: UUID | None = None
    read: dict[UUID, int] = field(default_factory=dict)

    @property
    def people(self) -> tuple[UUID, UUID]:
        return self.request.owner, self.helper

    def unread_by(self, reader: UUID) -> int:
        return sum(one.sender != reader for one in self.said[self.read.get(reader, 0) :])


@dataclass(slots=True)
class World:
    """Everything the contract speaks of. Each method changes it or raises Refused, and then has changed nothing."""

    people: list[Person]
    stage: str = "disabled"
    v1_writes: bool = True
    changes: int = 0
    requests: list[Request] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)

    # The rollout

    def move_to(self, stage: str) -> None:
        if stage == "enabled":
            self.v1_writes = False
        elif stage == "disabled" or self.stage == "enabled":
            self.v1_writes = True
        self.stage = stage
        self.changes += 1

    def set_v1_writes(self, on: bool) -> None:
        self.v1_writes = on
        self.changes += 1

    def version_for(self, person: Person) -> str | None:
        kind, _, percent = self.stage.partition(":")
        is_in = {
            "disabled": False,
            "internal": person.is_staff,
            "percentage": person.is_staff or person.bucket < int(percent or 0) * 1000,
            "enabled": True,
        }[kind]
        return V2 if is_in else V1 if self.v1_writes else None

    # Requests

    def change_request(self, actor: Person, request: Request, status: str) -> None:
        if request.owner != actor.id:
            raise Refused("help_request_not_found")
        if request.status == status:
            return
        if (request.status == OPEN) == (status == OPEN):
            raise Refused("help_request_unavailable")
        request.status = status

    # Conversations

    def standing(self, helper: Person, request: Request, versions: tuple[str, ...] = (V2, V1)) -> Conversation | None:
        found = [one for one in self.conversations if one.request is request and one.helper == helper.id]
        return next((one for version in versions for one in found if one.version == version), None)

    def may_offer(self, actor: Person, request: Request) -> str:
        if request.owner == actor.id:
            raise Refused("invalid_input")
        if standing := self.standing(actor, request):
            raise Refused("conversation_exists", standing.id)
        if request.status != OPEN:
            raise Refused("help_request_unavailable")
        version = self.version_for(actor)
        if version is None:
            raise Refused("messaging_unavailable")
        return version

    def may_continue(self, actor: Person, conversation: Conversation) -> None:
        self.require_part(actor, conversation)
        if conversation.version == V2 or self.v1_writes:
            raise Refused("invalid_input")
        if continued := self.continued(conversation):
            raise Refused("conversation_exists", continued.id)
        if conversation.status != "active":
            raise Refused("invalid_input")
        if conversation.request.status != OPEN or conversation.helper != actor.id:
            raise Refused("invalid_input")
        if self.version_for(actor) != V2:
            raise Refused("messaging_unavailable")

    def continued(self, conversation: Conversation) -> Conversation | None:
        return next(
            (
                one for one in self.conversations
                if one.version == V2 and one.request is conversation.request and one.helper == conversation.helper
            ),
            None,
        )  # fmt: skip

    def add_conversation(self, key: UUID, version: str, actor: Person, request: Request, text: str) -> None:
        self.conversations.append(Conversation(key, version, request, actor.id, [Said(None, actor.id, text)]))

    def send(self, actor: Person, conversation: Conversation, message_id: UUID, text: str) -> bool:
        """Keep a message and tell whether it is new. Each version has ids of its own."""
        self.require_part(actor, conversation)
        place, before = next(
            (
                (one, said)
                for one in self.conversations if one.version == conversation.version
                for said in one.said if said.id == message_id
            ),
            (None, None),
        )  # fmt: skip
        if before is not None and place is conversation and (before.sender, before.content) == (actor.id, text):
            return False
        # What the sender cannot see is met only when it is written.
        if place is not None and actor.id in place.people:
            raise Refused("idempotency_conflict")
        if conversation.status != "active":
            raise Refused("conversation_inactive")
        if conversation.version == V1 and not self.v1_writes:
            raise Refused("messaging_unavailable")
        if before is not None:
            raise Refused("idempotency_conflict")
        conversation.said.append(Said(message_id, actor.id, text))
        return True

    def mark_read(self, actor: Person, conversation: Conversation) -> None:
        self.require_part(actor, conversation)
        conversation.read[actor.id] = len(conversation.said)

    def set_status(self, actor: Person, conversation: Conversation, status: str) -> None:
        self.require_part(actor, conversation)
        if status == "active" and conversation.closed_by not in (None, actor.id):
            raise Refused("permission_denied")
        if conversation.status != status:
            conversation.status, conversation.closed_by = status, actor.id if status == "closed" else None

    def require_part(self, actor: Person, conversation: Conversation) -> None:
        if actor.id not in conversation.people:
            raise Refused("conversation_not_found")
