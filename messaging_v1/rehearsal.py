"""A start and a send in V1 as members make them, in a transaction that is rolled back: whether V1 serves, at no cost."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection
from django.db.models import QuerySet

from carecollective.accounts.models import User, VerificationStatus
from carecollective.core.database import acting_as, discarding_changes, execute, fetch_all
from carecollective.help_requests.models import AVAILABLE, Category, HelpRequest, Urgency
from carecollective.help_requests.services import post_request
from carecollective.messaging.errors import MessageNotFound
from messaging_v1.selectors import conversation_of_pair, read_conversation
from messaging_v1.services import send_legacy_message, start_legacy_conversation

# Each statement may take a second, and after two seconds no other begins.
STATEMENT_SECONDS, TOTAL_SECONDS = 1, 2
# Should this process stop in the middle, the server ends the transaction.
IDLE_SECONDS = 3
LIMITS = (
    f"SET LOCAL lock_timeout = '{STATEMENT_SECONDS}s'; SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s';"
    f" SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"
)
# Of members who may be blocked or restricted, how many are tried.
CANDIDATES = 3
OFFER = "A rehearsal: this offer of help is taken back at once."
ANSWER = "A rehearsal: this answer is taken back at once."
QUESTION: Mapping[str, Any] = {
    "title": "A rehearsal",
    "description": "This request is taken back at once.",
    "category": Category.OTHER,
    "urgency": Urgency.NORMAL,
}


def rehearse_conversation() -> bool:
    """Start a conversation between two members in V1, answer it, read it as both, and take it all back.

    Runs on this thread's connection, which must be the web role's, through the services that members use. The legacy
    triggers run, deferred ones too. Holds locks for three seconds at most.

    Returns False when there are not two approved members, so that nothing was found out. Raises MessageNotFound when what
    was sent does not arrive, else the DomainError or django.db.Error that a member would meet.
    """
    with discarding_changes(), _limited():
        chosen = _choose()
        if chosen is None:
            return False
        helper, request = chosen
        owner = request.user
        conversation = start_legacy_conversation(actor=helper, help_request_id=request.pk, initial_message=OFFER)
        send_legacy_message(actor=owner, conversation_id=conversation.pk, content=ANSWER)
        for reader in (helper, owner):
            _read(reader, conversation.pk)
        # What would be judged at the commit, which never comes.
        execute("SET CONSTRAINTS ALL IMMEDIATE")
    return True


def _choose() -> tuple[User, HelpRequest] | None:
    """Choose a helper, and a request that nobody holds; one made for the purpose where the two talk about it already."""
    members = User.objects.filter(is_active=True, verification_status=VerificationStatus.APPROVED).order_by("?")
    open_ones = HelpRequest.objects.filter(status__in=AVAILABLE, user__in=members.order_by())
    free = open_ones.select_for_update(of=("self",), no_key=True, skip_locked=True)
    request = free.select_related("user").order_by("?").first()
    owner = request.user if request else members.first()
    helper = _choose_helper(members, owner) if owner else None
    if owner is None or helper is None:
        return None
    if request is not None:
        with acting_as(helper):
            if conversation_of_pair(help_request_id=request.pk, helper=helper) is None:
                return helper, request
    return helper, post_request(actor=owner, **QUESTION)


def _choose_helper(members: QuerySet[User], owner: User) -> User | None:
    """Return one of a few members who may write to the owner, and the owner to them."""
    for helper in members.exclude(pk=owner.pk)[:CANDIDATES]:
        if _may_write(helper, owner) and _may_write(owner, helper):
            return helper
    return None


def _may_write(one: User, other: User) -> bool:
    with acting_as(one):
        return bool(fetch_all("SELECT public.may_write_to(%s, true)", [other.pk])[0][0])


def _read(reader: User, conversation_id: UUID) -> None:
    with acting_as(reader):
        thread = read_conversation(conversation_id=conversation_id, before=None)
    if not {OFFER, ANSWER} <= {message.content for message in thread.messages}:
        raise MessageNotFound


@contextmanager
def _limited() -> Iterator[None]:
    """Let every statement of the block, and all of them together, take only so long. Within a transaction."""
    deadline = time.monotonic() + TOTAL_SECONDS

    def run(run_statement: Callable[..., Any], *statement: Any) -> Any:
        if time.monotonic() > deadline:
            raise OperationalError("The rehearsal takes too long.")
        return run_statement(*statement)

    execute(LIMITS)
    with connection.execute_wrapper(run):
        yield
