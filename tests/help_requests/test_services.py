from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from carecollective.accounts.services import NotApproved
from carecollective.core import errors
from carecollective.help_requests.errors import HelpRequestNotFound, StatusChangeRefused
from carecollective.help_requests.models import HelpRequest, RequestStatus
from carecollective.help_requests.selectors import lock_help_request
from carecollective.help_requests.services import (
    cancel_request,
    complete_request,
    expire_requests,
    keep_request_open,
    post_request,
    reopen_request,
)
from tests.messaging.refusals import nothing_written, refused

pytestmark = pytest.mark.django_db


def post(actor, **given):
    texts = {"title": "Groceries", "description": "Milk and bread", "category": "other", "urgency": "normal"}
    return post_request(actor=actor, **(texts | given))


def stored(request):
    return HelpRequest.objects.get(pk=request.pk)


def test_a_request_is_open_for_thirty_days(member):
    ada = member()
    found = stored(
        post(
            ada,
            title="  Milk\r\n and   bread ",
            description=" Two\r\nlitres ",
            category="groceries-meals",
            urgency="urgent",
        )
    )
    assert (found.user, found.title, found.description) == (ada, "Milk and bread", "Two\nlitres")
    assert (found.category, found.urgency, found.status) == ("groceries-meals", "urgent", RequestStatus.OPEN)
    assert found.expires_at - found.created_at == timedelta(days=30)
    assert found.is_available
    assert str(found) == "Milk and bread"


@pytest.mark.parametrize("description", [None, "", "   "])
def test_a_description_is_not_needed(member, description):
    assert post(member(), description=description).description is None


@pytest.mark.parametrize("verification", ["pending", "rejected"])
def test_a_member_who_is_not_approved_asks_nothing(member, verification):
    waiting = member(verification_status=verification)
    with refused(NotApproved, "permission_denied", 403):
        post(waiting)


@pytest.mark.parametrize("verification", ["pending", "rejected"])
def test_a_member_who_is_not_approved_any_more_asks_nothing_again(member, help_request, verification):
    request = help_request(status="completed", user=member(verification_status=verification))
    with refused(NotApproved, "permission_denied", 403):
        reopen_request(actor=request.user, help_request_id=request.pk)
    assert stored(request).status == "completed"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", "  \n "),
        ("title", "a" * 121),
        ("title", None),
        ("title", "a\0b"),
        ("description", "a" * 2001),
        ("description", 5),
        ("description", "\u202e turned"),
        ("category", "gardening"),
        ("category", ""),
        ("category", None),
        ("category", ["other"]),
        ("urgency", "now"),
        ("urgency", {}),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(member, field, value):
    ada = member()
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        post(ada, **{field: value})
    assert list(refusal.value.fields) == [field]


def test_everything_that_is_wrong_is_said_at_once(member):
    ada = member()
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        post(ada, title="", description="a" * 2001, category="x", urgency="y")
    assert set(refusal.value.fields) == {"title", "description", "category", "urgency"}


@pytest.mark.parametrize("field", ["title", "description"])
def test_texts_are_kept_as_typed(member, field):
    text = 'Zoë\'s <b>"lift"</b> & 50 % off 😊 {{ 1 }}'
    assert getattr(stored(post(member(), **{field: text})), field) == text


MOVES = {
    complete_request: {"open": "completed", "in_progress": "completed", "completed": "completed"},
    cancel_request: {"open": "cancelled", "in_progress": "cancelled", "cancelled": "cancelled"},
    reopen_request: {"completed": "open", "cancelled": "open", "closed": "open", "open": "open"},
}


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.__name__)
@pytest.mark.parametrize("status", RequestStatus.values)
def test_an_owner_moves_a_request_from_where_it_may_be_moved(help_request, move, status):
    request = help_request(status=status)
    if status not in MOVES[move]:
        with refused(StatusChangeRefused, "help_request_unavailable", 400):
            move(actor=request.user, help_request_id=request.pk)
        return
    moved = move(actor=request.user, help_request_id=request.pk)
    assert moved.status == stored(request).status == MOVES[move][status]


def test_the_moment_of_an_ending_is_kept_and_forgotten(help_request):
    request = help_request()
    completed = complete_request(actor=request.user, help_request_id=request.pk)
    assert completed.completed_at is not None
    assert completed.updated_at > request.created_at
    with nothing_written():
        complete_request(actor=request.user, help_request_id=request.pk)
    reopened = reopen_request(actor=request.user, help_request_id=request.pk)
    assert (reopened.completed_at, reopened.cancelled_at) == (None, None)
    assert cancel_request(actor=request.user, help_request_id=request.pk).cancelled_at is not None


def test_a_reopened_request_has_another_thirty_days(help_request):
    request = help_request(status="closed", expires_at=timezone.now() - timedelta(days=90))
    reopen_request(actor=request.user, help_request_id=request.pk)
    assert timedelta(days=29) < stored(request).expires_at - timezone.now() <= timedelta(days=30)
    assert expire_requests() == 0


@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.__name__)
def test_nobody_moves_anothers_request(help_request, member, staff, move):
    request = help_request(status="completed" if move is reopen_request else "open")
    answers = []
    for actor, key in ((member(), request.pk), (staff(), request.pk), (member(), uuid4())):
        with refused(HelpRequestNotFound, "help_request_not_found", 404) as refusal:
            move(actor=actor, help_request_id=key)
        answers.append(errors.envelope(refusal.value))
    assert answers[0] == answers[1] == answers[2]


def test_expired_requests_are_closed(help_request):
    past = timezone.now() - timedelta(minutes=1)
    over = help_request(expires_at=past)
    kept = [
        help_request(),
        help_request(expires_at=past, status="in_progress"),
        help_request(expires_at=past, is_ongoing=True),
        help_request(expires_at=past, status="completed"),
    ]
    before = [request.status for request in kept]
    assert expire_requests() == 1
    assert stored(over).status == RequestStatus.CLOSED
    assert [stored(request).status for request in kept] == before
    assert expire_requests() == 0


def test_an_ongoing_request_has_no_end(help_request):
    assert stored(help_request(is_ongoing=True)).expires_at is None


def test_a_missing_request_cannot_be_locked(db):
    with refused(HelpRequestNotFound, "help_request_not_found", 404):
        lock_help_request(uuid4())


def test_an_owner_keeps_an_open_request_on_the_list(member, help_request, signed_in):
    ada = member()
    soon = help_request(user=ada, expires_at=timezone.now() + timedelta(days=2))
    client = signed_in(ada)
    page = client.get(f"/requests/{soon.pk}").content.decode()
    assert "It leaves the list on" in page
    assert "Keep it open for another 30 days" in page
    answer = client.post(f"/requests/{soon.pk}/keep-open")
    assert (answer.status_code, stored(soon).expires_at > timezone.now() + timedelta(days=29)) == (302, True)
    page = client.get(f"/requests/{soon.pk}").content.decode()
    assert "It is on the list until" in page
    assert "Keep it open" not in page


def test_nobody_else_keeps_a_request_open_nor_one_that_is_over(member, help_request):
    ada = member()
    mine, over = help_request(user=ada), help_request(user=ada, status="completed")
    other, rejected = member(), member(verification_status="rejected")
    theirs = help_request(user=rejected)
    with refused(HelpRequestNotFound, "help_request_not_found", 404):
        keep_request_open(actor=other, help_request_id=mine.pk)
    with refused(StatusChangeRefused, "help_request_unavailable", 400):
        keep_request_open(actor=ada, help_request_id=over.pk)
    with refused(NotApproved, "permission_denied", 403):
        keep_request_open(actor=rejected, help_request_id=theirs.pk)
