"""The queue of all mail to members. A mail is a row, which the worker sends after the commit."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction

from carecollective.core.database import ClockTimestamp
from carecollective.mail.letters import Letter
from carecollective.mail.models import MailState, OutgoingMail
from carecollective.mail.topics import Topic


class NotNow(Exception):
    """The member must not be disturbed now. The mail waits, and no try is counted."""


# Called with the id of the recipient when the mail is sent, and with the reference where there is one. None: the mail is not
# needed any more.
Compose = Callable[..., Letter | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of mail: its title for staff, the function that writes the letter, and the topic that members choose.

    `holds_words`: a row with a member's words belongs to the mail, so cancelling the mail deletes both.
    """

    title: Any
    compose: Compose
    topic: Topic | None = None
    holds_words: bool = False
    to_inactive: bool = False


_kinds: dict[str, Kind] = {}


def register(
    name: str,
    *,
    title: Any,
    compose: Compose,
    topic: Topic | None = None,
    holds_words: bool = False,
    to_inactive: bool = False,
) -> None:
    """Add a kind of mail. Call this in `AppConfig.ready`. Without a `topic` it always goes.

    With `to_inactive` it goes to members who may not sign in too.
    """
    _kinds[name] = Kind(title, compose, topic, holds_words, to_inactive)


def goes_to(mail: OutgoingMail) -> bool:
    """Tell whether this kind of mail goes to its recipient, who may not sign in any more."""
    return mail.recipient.is_active or _kinds[mail.kind].to_inactive


def kind_title(name: str) -> str:
    """Return the title of this kind of mail for staff."""
    kind = _kinds.get(name)
    return str(kind.title) if kind else name


def kind_topic(name: str) -> Topic | None:
    """Return the topic of this kind of mail; None for mail that always goes."""
    return _kinds[name].topic


def compose(mail: OutgoingMail) -> Letter | None:
    """Write the letter as of now. Raises NotNow; KeyError for a kind that this release does not know."""
    given = (mail.reference,) if mail.reference else ()
    return _kinds[mail.kind].compose(mail.recipient_id, *given)


def queue_mail(kind: str, *recipient_ids: UUID, reference: str = "", address: str = "") -> None:
    """Queue a mail of this kind and reference for each member, unless one waits. Part of the caller's transaction.

    It goes to the member's own address, or to `address` while they change theirs.
    """
    mails = [
        OutgoingMail(kind=kind, recipient_id=recipient_id, reference=reference, address=address)
        for recipient_id in recipient_ids
    ]
    OutgoingMail.objects.bulk_create(mails, ignore_conflicts=True)


@transaction.atomic
def queue_mail_in_constant_time(kind: str, recipient_id: UUID | None, **about: str) -> None:
    """Queue a mail; without a recipient, take as long and queue nothing.

    An address that nobody has must not be told from a member's by the time.
    """
    before = transaction.savepoint()
    queue_mail(kind, recipient_id or uuid4(), **about)
    if recipient_id is None:
        transaction.savepoint_rollback(before)
    else:
        transaction.savepoint_commit(before)


def cancel_mail(recipient_id: UUID) -> None:
    """Cancel all mail to a member that was not sent, and forget what other addresses it was for."""
    mails = OutgoingMail.objects.filter(recipient_id=recipient_id)
    mails.filter(kind__in=[name for name, kind in _kinds.items() if kind.holds_words]).delete()
    mails.filter(state__in=(MailState.WAITING, MailState.DEAD)).update(
        state=MailState.SKIPPED, settled_at=ClockTimestamp()
    )
    mails.exclude(address="", reference="").update(address="", reference="")


def try_again(mail_ids: Collection[UUID]) -> list[OutgoingMail]:
    """Try these mails again, for three more days; return those. Skips one if a newer of its kind waits."""
    mails = OutgoingMail.objects.filter(pk__in=mail_ids).order_by("created_at", "pk")
    return [mail for mail in mails if _try_again(mail)]


@transaction.atomic
def put_aside(mail_ids: Collection[UUID]) -> list[OutgoingMail]:
    """Stop asking staff about these dead letters: nobody is to have them any more. Return those."""
    dead = OutgoingMail.objects.filter(pk__in=mail_ids, state=MailState.DEAD)
    mails = list(dead.order_by("created_at", "pk").select_for_update(of=("self",), no_key=True))
    dead.filter(pk__in=[mail.pk for mail in mails]).update(state=MailState.SKIPPED)
    return mails


def _try_again(mail: OutgoingMail) -> bool:
    unsent = OutgoingMail.objects.filter(pk=mail.pk, state__in=(MailState.WAITING, MailState.DEAD))
    now = ClockTimestamp()
    try:
        with transaction.atomic():
            return bool(
                unsent.update(
                    state=MailState.WAITING, attempts=0, first_tried_at=None, next_try_at=now, settled_at=None
                )
            )
    except IntegrityError:
        # A newer mail of the same kind waits for the same member, and says the same.
        unsent.update(state=MailState.SKIPPED, settled_at=now)
        return False
