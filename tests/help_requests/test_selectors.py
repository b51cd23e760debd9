from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from carecollective.accounts.models import User
from carecollective.core import errors
from carecollective.core.pagination import Cursor
from carecollective.help_requests.errors import HelpRequestNotFound
from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.selectors import RequestFilters, find_request, list_requests
from tests.messaging.refusals import refused
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def titles(**filters):
    return [request.title for request in list_requests(filters=RequestFilters(**filters)).rows]


def test_the_newest_request_comes_first(help_request):
    made = [help_request(created_at=f"2026-01-0{day}T00:00Z") for day in (1, 3, 2)]
    assert titles() == [made[number].title for number in (1, 2, 0)]


def test_filters_narrow_the_list(help_request):
    help_request(created_at="2026-01-01T00:00Z", title="A", status="open", category="other", urgency="normal")
    help_request(created_at="2026-01-02T00:00Z", title="B", status="completed", category="other", urgency="critical")
    help_request(
        created_at="2026-01-03T00:00Z", title="C", status="open", category="household-yard", urgency="critical"
    )
    assert titles(status="open") == ["C", "A"]
    assert titles(category="other") == ["B", "A"]
    assert titles(urgency="critical", status="open") == ["C"]
    assert titles(status="closed") == []


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("milk", ["Milk & bread"]),
        ("MILK bread", ["Milk & bread"]),
        ("bread  milk", ["Milk & bread"]),
        ("milk ladder", []),
        ("100%", ["Paint, 100% white"]),
        ("%", ["Paint, 100% white"]),
        ("_", []),
        ("wójcik", ["Borrow a ladder"]),
        ("o'brien", ["Borrow a ladder"]),
    ],
)
def test_every_word_is_searched_in_title_and_description(help_request, q, found):
    help_request(title="Milk & bread", description=None)
    help_request(title="Borrow a ladder", description="For Mr O'Brien, Wójcik street")
    help_request(title="Paint, 100% white")
    assert titles(q=q) == found


COMPOSED, DECOMPOSED = "Caf\u00e9", "Cafe\u0301"


@pytest.mark.parametrize("written", [COMPOSED, DECOMPOSED, "Cafe", "CAF\u00c9", "CAFE\u0301"])
@pytest.mark.parametrize("q", [COMPOSED, DECOMPOSED, "cafe", "CAFE", "caf\u00c9", "f\u00e9"])
def test_an_accent_is_found_however_it_is_written_and_sought(help_request, written, q):
    help_request(title=f"A lift to the {written} at noon", description=None)
    help_request(title="No such place", description=f"not the caff, but the {written}.")
    help_request(title="Something else")
    assert len(titles(q=q)) == 2


@pytest.mark.parametrize(
    ("written", "q"),
    [
        ("Straße", "strasse"),
        ("STRASSE", "straße"),
        ("GROẞE", "grosse"),
        ("Łódź", "lodz"),
        ("Smørrebrød", "smorrebrod"),
        ("Sørensen", "SØRENSEN"),
        ("Œuvre", "oeuvre"),
        ("Ærø", "aero"),
        ("Þór Đặng", "thor dang"),
        ("İstanbul ışık", "istanbul isik"),
        ("Ёлка", "елка"),
        ("ΟΔΟΣ", "οδός"),
        ("שָׁלוֹם", "שלום"),
        ("한국어", "한국어"),
        ("ガス", "ガス"),
    ],
)
def test_letters_of_other_languages_are_folded_alike(help_request, written, q):
    help_request(title=written)
    help_request(title="Something else")
    assert titles(q=q) == [written]
    assert titles(q=written) == [written]


@pytest.mark.parametrize(
    "sign", [*list("%_\\'\"[]^$.*+?|(){}&:!<>;/-#@~`´¨…½"), "''", "%%", "\\_", "--", "😊", "👩\u200d🌾"]
)
def test_every_sign_is_taken_as_it_is(help_request, sign):
    help_request(title=f"before{sign}after", description="é")
    help_request(title="beforeXafter and more", description="é")
    assert titles(q=sign) == [f"before{sign}after"]
    assert titles(q=f"before{sign}after") == [f"before{sign}after"]


@pytest.mark.parametrize("q", ["a\0b", "\0", "\ud800"])
def test_an_unstorable_character_has_a_refusal_of_its_own(q):
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        RequestFilters.parse({"q": q})
    assert "character" in str(refusal.value.fields["q"][0])
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        RequestFilters.parse({"q": "a" * 101})
    assert "shorter" in str(refusal.value.fields["q"][0])


def test_filters_are_read_from_a_query():
    given = {"status": "open", "category": "other", "urgency": "urgent", "q": " milk ", "page": "2"}
    assert RequestFilters.parse(given) == RequestFilters("open", "other", "urgent", "milk")
    assert RequestFilters.parse({}) == RequestFilters()


@pytest.mark.parametrize(
    ("name", "value"), [("status", "gone"), ("category", "x"), ("urgency", "now"), ("q", "a\0b"), ("q", "a" * 101)]
)
def test_an_unknown_choice_is_refused_by_name(name, value):
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        RequestFilters.parse({name: value})
    assert list(refusal.value.fields) == [name]


def test_pages_follow_the_key_both_ways_even_within_one_moment(help_request):
    for _number in range(7):
        help_request()
    with as_role("owner"):
        HelpRequest.objects.update(created_at="2026-01-01T00:00Z")
    everything = [request.pk for request in list_requests(filters=RequestFilters()).rows]
    assert everything == sorted(everything, reverse=True)
    pages, cursor = list[Any](), None
    while not pages or cursor:
        page = list_requests(filters=RequestFilters(), cursor=cursor, size=3)
        pages.append([request.pk for request in page.rows])
        last, cursor = page, page.next and Cursor.parse(str(page.next))
    assert [key for page in pages for key in page] == everything
    back = list_requests(filters=RequestFilters(), cursor=last.previous, size=3)
    assert [request.pk for request in back.rows] == pages[1]


def test_the_list_is_one_query_owners_included(help_request):
    for _number in range(5):
        help_request()
    with CaptureQueriesContext(connection) as queries:
        assert all(request.user.name for request in list_requests(filters=RequestFilters()).rows)
    assert len(queries) == 1


def test_one_request_is_found_with_its_owner(help_request):
    request = help_request()
    with CaptureQueriesContext(connection) as queries:
        assert find_request(request.pk).user == request.user
    assert len(queries) == 1
    with refused(HelpRequestNotFound, "help_request_not_found", 404):
        find_request(uuid4())


def test_requests_of_a_departed_owner_come_back_with_them(member, help_request, signed_in, api_client):
    ada, ben = member(name="Ada"), member(name="Ben")
    request = help_request(user=ada, title="Firewood")
    client = signed_in(ben)
    for is_there in (True, False, True):
        User.objects.filter(pk=ada.pk).update(is_active=is_there)
        assert titles() == ["Firewood"] * is_there
        assert ("Firewood" in client.get("/requests").content.decode()) is is_there
        listed = api_client(ben).get("/api/help-requests?status=open").json()["results"]
        assert [one["title"] for one in listed] == ["Firewood"] * is_there
        page = client.get(f"/requests/{request.pk}").content.decode()
        assert ("Send" in page) is is_there
        assert ("This request is not open at the moment" in page) is not is_there
