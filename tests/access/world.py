"""A small community in which everybody has something that the others may not see."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from carecollective.accounts.models import User, VerificationStatus
from carecollective.core.models import WorkerHeartbeat
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.services import offer_help
from tests.factories import HelpRequestFactory, UserFactory

# Said between two people: nobody else is ever to read a piece of it.
SECRETS = ("Meet me behind the old mill", "My door code is seven four nine", "The spare key hangs in the shed")
PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class World:
    """Olga asks, Henry helps, in both versions; Oscar looks on; Paula waits; Stella is staff; Sue is a superuser."""

    owner: User
    helper: User
    stranger: User
    waiting: User
    staff: User
    superuser: User
    help_request: HelpRequest
    untouched: HelpRequest
    conversation: UUID
    legacy: UUID

    @property
    def members(self) -> tuple[User, ...]:
        return (self.owner, self.helper, self.stranger, self.waiting, self.staff, self.superuser)


def make_world() -> World:
    """Make it, as the web role where the site would and past the policies where only the legacy system did."""
    owner, helper, stranger = (UserFactory.create(name=name) for name in ("Olga", "Henry", "Oscar"))
    waiting = UserFactory.create(name="Paula", verification_status=VerificationStatus.PENDING)
    staff = UserFactory.create(name="Stella", is_staff=True)
    superuser = UserFactory.create(name="Sue", is_staff=True, is_superuser=True)
    help_request = HelpRequestFactory.create(user=owner, title="Groceries")
    untouched = HelpRequestFactory.create(user=owner, title="A lift to town")
    old = HelpRequestFactory.create(user=owner, title="Mend the gate")
    conversation = offer_help(actor=helper, help_request_id=help_request.pk, initial_message=SECRETS[0])
    # A worker that is well, so that the site says it is.
    WorkerHeartbeat.objects.create(name="worker")
    return World(
        owner=owner,
        helper=helper,
        stranger=stranger,
        waiting=waiting,
        staff=staff,
        superuser=superuser,
        help_request=help_request,
        untouched=untouched,
        conversation=conversation.conversation_id,
        legacy=_legacy_conversation(old, helper, owner, SECRETS[1:]),
    )


def _legacy_conversation(help_request: HelpRequest, helper: User, owner: User, texts: Any) -> UUID:
    key = uuid4()
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")
        cursor.execute(
            "INSERT INTO conversations (id, help_request_id, created_by, status) VALUES (%s, %s, %s, 'active')",
            [key, help_request.pk, helper.pk],
        )
        for member in (helper, owner):
            cursor.execute(
                "INSERT INTO conversation_participants (conversation_id, user_id) VALUES (%s, %s)", [key, member.pk]
            )
        for text in texts:
            cursor.execute(
                "INSERT INTO messages (conversation_id, sender_id, recipient_id, content, created_at)"
                " VALUES (%s, %s, %s, %s, clock_timestamp())",
                [key, helper.pk, owner.pk, text],
            )
        cursor.execute("SET ROLE carecollective_web")
    return key
