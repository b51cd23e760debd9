"""What can be done with a help request, each in one transaction."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext_lazy as _
from psycopg.errors import UniqueViolation

from carecollective.accounts.models import User
from carecollective.accounts.services import require_approved
from carecollective.core.database import ClockTimestamp
from carecollective.core.errors import ValidationRefused
from carecollective.core.text import normalise
from carecollective.help_requests.errors import HelpRequestNotFound, StatusChangeRefused
from carecollective.help_requests.locks import lock_help_request
from carecollective.help_requests.models import AVAILABLE, Category, HelpRequest, Status, Urgency

TITLE_MAX = 120
DESCRIPTION_MAX = 2000
LIFETIME_DAYS = 30
SAME_WITHIN_SECONDS = 3600


def post_request(
    *, actor: User, title: Any, description: Any, category: Any, urgency: Any, key: UUID | None = None
) -> HelpRequest:
    """Publish a request for help in the member's own name; with the `key` of a form, once however often it is sent.

    A form that is sent again after going back has a new key: the same words within the hour are the same request.
    Raises NotApproved while the membership is waiting, ValidationRefused naming every field that cannot be taken.
    """
    require_approved(actor)
    refused: dict[str, list[Any]] = {}
    texts = {}
    for name, value, longest, required in (
        ("title", title, TITLE_MAX, True),
        ("description", description if description is not None else "", DESCRIPTION_MAX, False),
    ):
        try:
            texts[name] = normalise(value, field=name)
        except ValidationRefused as refusal:
            refused |= refusal.fields
            continue
        if required and not texts[name]:
            refused[name] = [_("Please say in a few words what you need.")]
        elif len(texts[name]) > longest:
            refused[name] = [_("Please shorten this to %(longest)d characters.") % {"longest": longest}]
    if category not in Category.values:
        refused["category"] = [_("Please choose one of the categories.")]
    if urgency not in Urgency.values:
        refused["urgency"] = [_("Please choose how soon help is needed.")]
    if refused:
        raise ValidationRefused(refused)
    wanted: dict[str, Any] = {
        "title": " ".join(texts["title"].split()),
        "description": texts["description"] or None,
        "category": category,
        "urgency": urgency,
    }
    if key is None:
        return HelpRequest.objects.create(user=actor, **wanted)
    return _posted_before(actor, wanted) or _post_once(actor, key, wanted)


def _posted_before(actor: User, wanted: dict[str, Any]) -> HelpRequest | None:
    lately = ClockTimestamp() - timedelta(seconds=SAME_WITHIN_SECONDS)
    asked = HelpRequest.objects.filter(user=actor, status__in=AVAILABLE, created_at__gt=lately)
    return asked.filter(**wanted).order_by("-created_at", "-pk").first()


def _post_once(actor: User, key: UUID, wanted: dict[str, Any]) -> HelpRequest:
    try:
        with transaction.atomic():
            return HelpRequest.objects.create(pk=key, user=actor, **wanted)
    except IntegrityError as error:
        if not isinstance(error.__cause__, UniqueViolation):
            raise
        # The same form at the same moment: it was the other one's to post.
        return HelpRequest.objects.get(pk=key, user=actor)


@transaction.atomic
def complete_request(*, actor: User, help_request_id: UUID) -> HelpRequest:
    """Say that the help has been given. Raises HelpRequestNotFound when it is not the member's own."""
    return _move(actor, help_request_id, AVAILABLE, Status.COMPLETED, completed_at=ClockTimestamp())


@transaction.atomic
def cancel_request(*, actor: User, help_request_id: UUID) -> HelpRequest:
    """Take the request back. Raises HelpRequestNotFound when it is not the member's own."""
    return _move(actor, help_request_id, AVAILABLE, Status.CANCELLED, cancelled_at=ClockTimestamp())


@transaction.atomic
def reopen_request(*, actor: User, help_request_id: UUID) -> HelpRequest:
    """Ask again, for another thirty days.

    Raises NotApproved for a member who is not (any more); HelpRequestNotFound when it is not the member's own.
    """
    request = _move(actor, help_request_id, None, Status.OPEN, completed_at=None, cancelled_at=None)
    require_approved(actor)  # last, because somebody else's request answers as none; nothing of the move stays
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE help_requests SET expires_at = clock_timestamp() + make_interval(days => %s) WHERE id = %s",
            [LIFETIME_DAYS, request.pk],
        )
    return request


def _move(
    actor: User, help_request_id: UUID, allowed: tuple[Status, ...] | None, status: Status, **stamps: Any
) -> HelpRequest:
    """Change the status from one of those allowed, or with None from any that is not available."""
    request = lock_help_request(help_request_id)
    if request.user_id != actor.pk:
        raise HelpRequestNotFound
    if request.status == status:
        return request
    if request.is_available if allowed is None else request.status not in allowed:
        raise StatusChangeRefused
    HelpRequest.objects.filter(pk=request.pk).update(status=status, updated_at=ClockTimestamp(), **stamps)
    request.refresh_from_db()
    return request


def expire_requests() -> int:
    """Close the open requests whose time is over; return how many. In-progress and ongoing ones are left alone."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE help_requests SET status = 'closed', updated_at = clock_timestamp()
            WHERE status = 'open' AND NOT coalesce(is_ongoing, false) AND expires_at < clock_timestamp()
            """
        )
        return int(cursor.rowcount)
