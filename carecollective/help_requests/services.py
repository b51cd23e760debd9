"""What members do with their help requests. Each function is one transaction."""

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
from carecollective.core.text import read_text
from carecollective.help_requests.errors import HelpRequestNotFound, StatusChangeRefused
from carecollective.help_requests.models import AVAILABLE, Category, HelpRequest, RequestStatus, StatusChange, Urgency
from carecollective.help_requests.selectors import lock_help_request

TITLE_MAX = 120
DESCRIPTION_MAX = 2000
LIFETIME_DAYS = 30
SAME_WITHIN_SECONDS = 3600


def post_request(
    *, actor: User, title: Any, description: Any, category: Any, urgency: Any, key: UUID | None = None
) -> HelpRequest:
    """Publish a help request of the member. With a form's idempotency `key`, a form sent twice makes one request.

    A form sent again after going back has a new key, so a request with the same text within the hour is returned instead.
    Raises NotApproved; ValidationRefused naming every wrong field.
    """
    require_approved(actor)
    refused: dict[str, list[Any]] = {}
    title = read_text(title, field="title", longest=TITLE_MAX, refused=refused)
    if not title:
        refused.setdefault("title", [_("Please say in a few words what you need.")])
    description = description if description is not None else ""
    description = read_text(description, field="description", longest=DESCRIPTION_MAX, refused=refused)
    if category not in Category.values:
        refused["category"] = [_("Please choose one of the categories.")]
    if urgency not in Urgency.values:
        refused["urgency"] = [_("Please choose how soon help is needed.")]
    if refused:
        raise ValidationRefused(refused)
    wanted: dict[str, Any] = {
        "title": " ".join(title.split()),
        "description": description or None,
        "category": category,
        "urgency": urgency,
    }
    if key is None:
        return HelpRequest.objects.create(user=actor, **wanted)
    return _find_same_request(actor, wanted) or _post_once(actor, key, wanted)


def _find_same_request(actor: User, wanted: dict[str, Any]) -> HelpRequest | None:
    since = ClockTimestamp() - timedelta(seconds=SAME_WITHIN_SECONDS)
    asked = HelpRequest.objects.filter(user=actor, status__in=AVAILABLE, created_at__gt=since)
    return asked.filter(**wanted).order_by("-created_at", "-pk").first()


def _post_once(actor: User, key: UUID, wanted: dict[str, Any]) -> HelpRequest:
    try:
        with transaction.atomic():
            return HelpRequest.objects.create(pk=key, user=actor, **wanted)
    except IntegrityError as error:
        if not isinstance(error.__cause__, UniqueViolation):
            raise
        # The same form was sent twice at the same moment, and the other one was first.
        return HelpRequest.objects.get(pk=key, user=actor)


@transaction.atomic
def complete_request(*, actor: User, help_request_id: UUID) -> HelpRequest:
    """Complete the member's own request. Raises HelpRequestNotFound; StatusChangeRefused."""
    return _change_status(actor, help_request_id, AVAILABLE, RequestStatus.COMPLETED, completed_at=ClockTimestamp())


@transaction.atomic
def cancel_request(*, actor: User, help_request_id: UUID) -> HelpRequest:
    """Cancel the member's own request. Raises HelpRequestNotFound; StatusChangeRefused."""
    return _change_status(actor, help_request_id, AVAILABLE, RequestStatus.CANCELLED, cancelled_at=ClockTimestamp())


@transaction.atomic
def reopen_request(*, actor: User, help_request_id: UUID) -> HelpRequest:
    """Open the member's own request again, for thirty days.

    Raises HelpRequestNotFound; StatusChangeRefused; NotApproved.
    """
    request = _change_status(actor, help_request_id, None, RequestStatus.OPEN, completed_at=None, cancelled_at=None)
    # After the look-up: somebody else's request is "not found" for every member. A refusal rolls the change back.
    require_approved(actor)
    _start_lifetime(request)
    return request


@transaction.atomic
def keep_request_open(*, actor: User, help_request_id: UUID) -> HelpRequest:
    """Keep the member's own open request on the list for another thirty days from now.

    Raises HelpRequestNotFound; StatusChangeRefused unless it is open; NotApproved.
    """
    request = lock_help_request(help_request_id)
    if request.user_id != actor.pk:
        raise HelpRequestNotFound
    if request.status != RequestStatus.OPEN:
        raise StatusChangeRefused
    require_approved(actor)
    _start_lifetime(request)
    return request


def _start_lifetime(request: HelpRequest) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE help_requests SET expires_at = clock_timestamp() + make_interval(days => %s) WHERE id = %s",
            [LIFETIME_DAYS, request.pk],
        )


def _change_status(
    actor: User, help_request_id: UUID, allowed: tuple[RequestStatus, ...] | None, status: RequestStatus, **stamps: Any
) -> HelpRequest:
    """Change the status from one of the allowed ones; None allows every status that is not available."""
    request = lock_help_request(help_request_id)
    if request.user_id != actor.pk:
        raise HelpRequestNotFound
    if request.status == status:
        return request
    if request.is_available if allowed is None else request.status not in allowed:
        raise StatusChangeRefused
    HelpRequest.objects.filter(pk=request.pk).update(status=status, updated_at=ClockTimestamp(), **stamps)
    StatusChange.objects.create(help_request=request, status=status)
    request.refresh_from_db()
    return request


def expire_requests() -> int:
    """Close expired open requests, except ongoing ones; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH expired AS (
              UPDATE help_requests SET status = 'closed', updated_at = clock_timestamp()
              WHERE status = 'open' AND NOT coalesce(is_ongoing, false) AND expires_at < clock_timestamp()
              RETURNING id)
            INSERT INTO help_requests_statuschange (id, help_request_id, status)
            SELECT gen_random_uuid(), id, 'closed' FROM expired
            """
        )
        return int(cursor.rowcount)
