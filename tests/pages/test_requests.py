"""The list of requests, asking for help, and what an owner does with a request."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils.html import escape

from carecollective.accounts.models import VerificationStatus
from carecollective.help_requests.models import HelpRequest, RequestStatus
from tests.hostile.forms import forms_of
from tests.roles import as_role

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_the_first_page_is_the_list_of_requests(visitor):
    response = visitor.get("/")
    assert (response.status_code, response["Location"]) == (302, "/requests")


def test_anybody_reads_the_open_requests_newest_first(visitor, help_request):
    help_request(title="An older wish", created_at=NOW - timedelta(days=2))
    help_request(title="A newer wish", created_at=NOW)
    help_request(title="A wish come true", status=RequestStatus.COMPLETED)
    page = visitor.get("/requests").content.decode()
    assert page.index("A newer wish") < page.index("An older wish")
    assert "A wish come true" not in page


def test_what_members_wrote_is_shown_as_written_never_as_markup(visitor, member, help_request):
    title, text = '<b>Bold</b> & "quoted"', "<script>alert(1)</script>\nsecond line 😊"
    request = help_request(user=member(name="Zoë <i>X</i>"), title=title, description=text)
    for address in ("/requests", f"/requests/{request.pk}"):
        page = visitor.get(address).content.decode()
        assert escape(title) in page
        assert "<script>alert" not in page
        assert "<b>Bold" not in page
        assert "<i>X" not in page
    assert escape(text) in page


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", {"Bread", "Ride"}),
        ("?category=groceries-meals", {"Bread"}),
        ("?urgency=critical", {"Ride"}),
        ("?status=completed", {"Leaves"}),
        ("?status=", {"Bread", "Ride", "Leaves"}),
        ("?q=bReAd", {"Bread"}),
        ("?q=bread&urgency=critical", set()),
        ("?q=br%C3%A8ad", {"Bread"}),
        ("?q=bre%CC%80ad", {"Bread"}),
        ("?q=%25", set()),
    ],
)
def test_filters_and_search_narrow_the_list(visitor, help_request, asked, found):
    help_request(title="Bread", category="groceries-meals")
    help_request(title="Ride", urgency="critical")
    help_request(title="Leaves", status=RequestStatus.COMPLETED)
    page = visitor.get(f"/requests{asked}").content.decode()
    assert {title for title in ("Bread", "Ride", "Leaves") if f">{title}</a>" in page} == found


@pytest.mark.parametrize(
    ("asked", "heading"),
    [
        ("", "Open requests"),
        ("?status=completed", "1 request found"),
        ("?q=wish", "More than 20 requests found for “wish”"),
        ("?q=wish&category=groceries-meals", "2 requests found for “wish”"),
        ("?q=<b>", "No requests found for “&lt;b&gt;”"),
    ],
)
def test_a_heading_and_the_title_say_how_many_were_found(visitor, help_request, asked, heading):
    for number in range(21):
        help_request(title=f"Wish {number}", category="groceries-meals" if number < 2 else "other")
    help_request(title="Leaves", status=RequestStatus.COMPLETED)
    page = " ".join(visitor.get(f"/requests{asked}").content.decode().split())
    assert re.findall(r'<h2 id="found">\s*(.*?)\s*</h2>', page) == [heading]
    title = heading if asked else "Help requests"
    assert re.findall(r"<title>\s*(.*?)\s* · Care", page) == [title]


def test_a_search_that_finds_nothing_says_how_to_go_on(visitor, help_request):
    help_request(title="Wish", status=RequestStatus.COMPLETED)
    page = unescape(visitor.get("/requests?q=wish").content.decode())
    wider = re.findall(r'href="([^"]+)">\s*Look among requests that are over', page)[0]
    assert ">Wish</a>" in visitor.get(f"/requests{wider}").content.decode()
    page = unescape(visitor.get("/requests?q=wish&category=groceries-meals&urgency=urgent").content.decode())
    assert "You are looking only at: Groceries and meals, Soon." in page


def test_an_unknown_choice_is_said_and_the_open_requests_are_shown(visitor, help_request):
    help_request(title="Bread")
    response = visitor.get("/requests?urgency=yesterday")
    assert response.status_code == 400
    assert "This is not one of the choices." in response.content.decode()
    assert "Bread" in response.content.decode()


def test_a_search_for_what_no_text_holds_is_said_in_words_of_its_own(visitor, help_request):
    help_request(title="Bread")
    response = visitor.get("/requests?q=br%00ead")
    assert response.status_code == 400
    # Sent again as it stands there, it finds something.
    assert 'value="bread"' in response.content.decode()
    assert "We cannot search for one of the characters that you typed." in response.content.decode()
    assert "Bread" in response.content.decode()


@pytest.mark.parametrize("cursor", ["x", "e30", "WzFd", "%00"])
def test_a_made_up_place_in_the_list_is_refused_kindly(visitor, cursor):
    response = visitor.get(f"/requests?cursor={cursor}")
    assert response.status_code == 400
    assert "no longer valid" in response.content.decode()


def test_older_and_newer_lead_through_every_request_once(visitor, help_request):
    # Every three are of the same moment, so that the key has to tell them apart.
    for number in range(45):
        help_request(title=f"Wish {number:02}", created_at=NOW + timedelta(minutes=number // 3))
    expected = [request.title for request in HelpRequest.objects.order_by("-created_at", "-pk")]

    def follow(page, rel):
        link = re.search(rf'rel="{rel}" href="([^"]+)"', page)
        return visitor.get("/requests" + link[1].replace("&amp;", "&")).content.decode() if link else None

    def titles(page):
        return re.findall(r">(Wish \d\d)</a>", page)

    pages = [visitor.get("/requests?urgency=normal").content.decode()]
    while older := follow(pages[-1], "next"):
        pages.append(older)
    assert [title for page in pages for title in titles(page)] == expected
    back = follow(pages[2], "prev")
    assert titles(back) == titles(pages[1])
    assert '<option value="normal" selected>' in back


def test_a_title_and_a_description_are_enough_to_ask(signed_in, member):
    asking = member()
    response = signed_in(asking).post("/requests/new", {"title": "Need groceries", "description": "Milk\r\nand bread"})
    posted = HelpRequest.objects.get()
    assert response["Location"] == f"/requests/{posted.pk}"
    assert (posted.user, posted.description) == (asking, "Milk\nand bread")
    assert (posted.category, posted.urgency) == ("other", "normal")


ASKED = {"title": "Need groceries", "description": "Milk", "category": "groceries-meals", "urgency": "urgent"}


def key_of(page):
    return next(form.fields["id"] for form in forms_of("/", page.content.decode()) if "id" in form.fields)


def test_the_same_request_form_sent_twice_is_one_request(signed_in, member):
    client = signed_in(member())
    form = ASKED | {"id": key_of(client.get("/requests/new"))}
    places = {client.post("/requests/new", form)["Location"] for _click in range(2)}
    assert places == {f"/requests/{HelpRequest.objects.get().pk}"}


def test_going_back_and_sending_again_is_one_request(signed_in, member):
    """Going back fetches the page anew, with a new key; the browser puts the words back into it."""
    client = signed_in(member())
    places = set()
    for _time in range(2):
        places.add(client.post("/requests/new", ASKED | {"id": key_of(client.get("/requests/new"))})["Location"])
    assert places == {f"/requests/{HelpRequest.objects.get().pk}"}


@pytest.mark.parametrize("change", ["title", "description", "category", "urgency"])
def test_other_words_are_another_request_even_with_the_same_key(signed_in, member, change):
    client = signed_in(member())
    form = ASKED | {"id": key_of(client.get("/requests/new"))}
    other = {"title": "Bread", "description": "", "category": "other", "urgency": "normal"}[change]
    for _click in range(2):
        client.post("/requests/new", form)
        client.post("/requests/new", form | {change: other})
    assert HelpRequest.objects.count() == 2


def test_the_same_text_is_a_new_request_after_an_hour_or_the_end(signed_in, member):
    asking = member()
    client = signed_in(asking)
    for _time in range(3):
        client.post("/requests/new", ASKED | {"id": key_of(client.get("/requests/new"))})
        newest = HelpRequest.objects.latest("created_at")
        if HelpRequest.objects.count() == 1:
            newest.status = RequestStatus.CANCELLED
        newest.created_at -= timedelta(minutes=61)
        with as_role("owner"):
            newest.save()
    assert HelpRequest.objects.filter(user=asking).count() == 3


def test_two_members_may_ask_for_the_same(signed_in, member):
    for asking in (member(), member()):
        client = signed_in(asking)
        client.post("/requests/new", ASKED | {"id": key_of(client.get("/requests/new"))})
    assert HelpRequest.objects.count() == 2


def test_a_made_up_key_is_refused(signed_in, member):
    answer = signed_in(member()).post("/requests/new", ASKED | {"id": "1"})
    assert answer.status_code == 400
    assert not HelpRequest.objects.exists()


def test_the_first_submit_button_of_the_form_page_is_the_forms_own(signed_in, member):
    page = signed_in(member()).get("/requests/new").content.decode()
    first = page.index('type="submit"')
    assert page.index('name="urgency"') < first < page.index("</form>")


def test_a_refused_request_keeps_what_was_typed(signed_in, member):
    typed = {"title": "", "description": 'So much "<text>"', "category": "other", "urgency": "urgent"}
    response = signed_in(member()).post("/requests/new", typed)
    page = response.content.decode()
    assert response.status_code == 400
    assert "Please say in a few words what you need." in page
    assert escape(typed["description"]) in page
    assert '<option value="urgent" selected>' in page
    assert not HelpRequest.objects.exists()


@pytest.mark.parametrize("status", [VerificationStatus.PENDING, VerificationStatus.REJECTED])
def test_who_is_not_approved_is_told_and_posts_nothing(signed_in, member, status):
    client = signed_in(member(verification_status=status))
    assert "id_title" not in client.get("/requests/new").content.decode()
    response = client.post("/requests/new", {"title": "Bread", "description": ""})
    assert response.status_code == 403
    assert 'id="membership-state"' in response.content.decode()
    assert not HelpRequest.objects.exists()


def test_a_visitor_is_asked_to_sign_in_and_comes_back(visitor):
    assert visitor.get("/requests/new")["Location"] == "/login?next=/requests/new"


@pytest.mark.parametrize(("action", "status"), [("complete", "completed"), ("cancel", "cancelled")])
def test_the_owner_ends_a_request_and_asks_again(signed_in, help_request, action, status):
    request = help_request()
    client = signed_in(request.user)
    client.post(reverse(f"request-{action}", args=[request.pk]))
    request.refresh_from_db()
    assert request.status == status
    assert "Ask again" in client.get(f"/requests/{request.pk}").content.decode()
    client.post(reverse("request-reopen", args=[request.pk]))
    request.refresh_from_db()
    assert request.status == "open"


@pytest.mark.parametrize("action", ["complete", "cancel", "reopen"])
def test_a_link_alone_or_a_stranger_changes_nothing(signed_in, member, help_request, nothing_written, action):
    request = help_request()
    address = reverse(f"request-{action}", args=[request.pk])
    with nothing_written():
        assert signed_in(request.user).get(address)["Location"] == f"/requests/{request.pk}"
        assert signed_in(member()).post(address).status_code == 404


def test_the_list_takes_at_most_five_queries(signed_in, member, help_request, queries):
    for _each in range(25):
        help_request()
    client = signed_in(member())
    with queries() as found:
        client.get("/requests")
    # Two are for the count of unread messages in the header; a web process keeps the rollout's state in memory.
    found = [one for one in found if "rollout_state" not in one]
    assert len(found) <= 5, found
