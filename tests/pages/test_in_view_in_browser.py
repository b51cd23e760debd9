"""Where a page stands when it opens, and that each answer is seen and has the focus: on a phone, with and without JavaScript."""

import re
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from carecollective.accounts.models import User
from carecollective.inbox.selectors import open_thread
from carecollective.inbox.services import offer_help, send_message
from tests.waiting import wait_for

pytestmark = pytest.mark.slow
LONG = "\n".join(f"Line {number} of a long description." for number in range(60))
# Where the page has stood each time that it was painted, in the first half second.
WATCH_PLACES = """
window.places = [];
const look = () => { places.push(Math.round(scrollY)); if (places.length < 60) requestAnimationFrame(look); };
addEventListener("DOMContentLoaded", () => requestAnimationFrame(look));
"""


@pytest.fixture(params=[True, False], ids=["with javascript", "without javascript"])
def javascript(request):
    return request.param


@pytest.fixture
def long_thread(member, help_request, settled_stage, connect_as):
    """A conversation of sixty messages that both have read: its id, who helps and who asked."""
    settled_stage("enabled")
    helping, request = member(name="Hugo Brandt"), help_request(title="Milk and bread")
    started = offer_help(actor=helping, help_request_id=request.pk, initial_message="I could do that.")
    connect_as("superuser", autocommit=True).execute(
        "INSERT INTO messages_v2 (id, conversation_id, sender_id, content, created_at)"
        " SELECT gen_random_uuid(), %s, %s, 'Message ' || n || '.', clock_timestamp() FROM generate_series(0, 59) AS n",
        [started.conversation_id, helping.pk],
    )
    for reader in (helping, request.user):
        open_thread(reader=reader, conversation_id=started.conversation_id, mark_read=True)
    return started.conversation_id, helping, request.user


def is_seen(locator):
    """The whole of an element, or as much of it as the screen can hold, is on the screen."""
    return locator.evaluate(
        """(element) => {
            const { top, bottom } = element.getBoundingClientRect();
            return top >= 0 && (bottom <= innerHeight || bottom - top > innerHeight);
        }"""
    )


def assert_seen(locator):
    expect(locator).to_be_visible()
    wait_for(lambda: is_seen(locator), seconds=5)


def assert_seen_and_focused(locator):
    assert_seen(locator)
    expect(locator).to_be_focused()


@pytest.mark.parametrize("asked", ["milk", "nothing of the kind"])
def test_what_a_search_found_stands_in_view(open_page, help_request, javascript, asked):
    for number in range(8):
        help_request(title=f"Milk {number}", description="Two bottles. " * 12)
    page = open_page("/requests", javascript=javascript)
    page.fill("[name=q]", asked)
    page.get_by_role("button", name="Search").click()
    assert_seen_and_focused(page.get_by_role("region", name="found for"))
    assert_seen(page.get_by_role("heading", name="found for"))
    assert_seen(page.locator("[name=q]"))
    first = page.locator(".card, .empty").first
    assert_seen(first)
    if asked == "milk":  # a short page cannot be moved up
        assert first.bounding_box()["y"] < 300
    expect(page.get_by_label("Kind of help")).to_be_hidden()


def test_chosen_filters_are_named_while_they_are_folded(open_page, help_request, javascript):
    help_request(title="Milk", urgency="urgent")
    page = open_page("/requests", javascript=javascript)
    page.locator("summary").click()
    page.get_by_label("How soon").select_option("urgent")
    page.get_by_role("button", name="Show these").click()
    assert_seen(page.get_by_text("Filters: Soon"))
    assert_seen(page.get_by_role("heading", name="1 request found"))
    assert_seen(page.get_by_role("link", name="Milk"))


def test_a_long_thread_opens_at_its_newest_message_at_once(open_page, long_thread, javascript):
    _key, _helping, asking = long_thread
    page = open_page("/messages", asking, javascript=javascript)
    page.click("text=Milk and bread")
    assert_seen(page.get_by_text("Message 59."))
    assert_seen(page.get_by_role("button", name="Send"))


def test_no_thread_is_flown_through(open_page, long_thread):
    key, _helping, asking = long_thread
    page = open_page("/help", asking)
    page.context.add_init_script(WATCH_PLACES)
    for address in (f"/messages/{key}", f"/messages/{key}#latest"):
        page.goto(address)
        wait_for(lambda: page.evaluate("places.length") == 60, seconds=10)
        # At the top before the end has arrived, or at once at the newest message; nowhere between.
        places = set(page.evaluate("places"))
        end = page.evaluate("Math.round(scrollY)")
        assert end > 1000
        assert all(place == 0 or abs(place - end) < 100 for place in places), places


@pytest.mark.parametrize("older", [5, 70], ids=["a few new", "more new ones than the page shows"])
def test_a_long_thread_opens_at_the_first_unread_message(open_page, long_thread, javascript, older):
    key, helping, asking = long_thread
    for number in range(older):
        send_message(actor=helping, conversation_id=key, content=f"News {number}.\n" + "More of it.\n" * 8)
    page = open_page("/messages", asking, javascript=javascript)
    page.click("text=Milk and bread")
    shown = 0 if older == 5 else older - 50
    assert_seen(page.get_by_text("New messages", exact=True))
    assert_seen(page.get_by_text(f"News {shown}."))
    assert not is_seen(page.get_by_role("button", name="Send"))
    page.goto("/messages")
    page.click("text=Milk and bread")
    assert_seen(page.get_by_role("button", name="Send"))
    expect(page.get_by_text("New messages", exact=True)).to_have_count(0)


def test_new_messages_below_are_announced_while_reading_above(open_page, long_thread):
    key, helping, asking = long_thread
    page = open_page(f"/messages/{key}", asking)
    page.wait_for_load_state("load")
    page.evaluate("scrollTo(0, 0)")
    told = page.get_by_role("button", name="New message below")
    expect(told).to_be_hidden()
    send_message(actor=helping, conversation_id=key, content="Are you there?")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert_seen(told)
    assert page.evaluate("scrollY") == 0
    told.click()
    assert_seen(page.get_by_text("Are you there?"))
    expect(told).to_be_hidden()


def test_the_thanks_for_a_report_are_seen(open_page, long_thread, javascript):
    key, _helping, asking = long_thread
    page = open_page(f"/messages/{key}#latest", asking, javascript=javascript)
    page.get_by_role("link", name="Report the message of").last.click()
    page.select_option("[name=reason]", "spam")
    page.get_by_role("button", name="Report it").click()
    assert_seen_and_focused(page.get_by_text("Thank you. Staff will look"))


def test_a_closed_thread_says_so_where_one_looks(open_page, long_thread, javascript):
    key, _helping, asking = long_thread
    page = open_page(f"/messages/{key}#latest", asking, javascript=javascript)
    page.get_by_text("Close this conversation").click()
    page.get_by_role("button", name="Close it").click()
    assert_seen_and_focused(page.get_by_role("heading", name="This conversation is closed"))
    page.get_by_role("button", name="Reopen it").click()
    assert_seen(page.get_by_role("button", name="Send"))


def test_an_owner_sees_what_became_of_the_request(open_page, help_request, javascript):
    request = help_request(description=LONG)
    page = open_page(f"/requests/{request.pk}", request.user, javascript=javascript)
    page.get_by_text("Mark as completed").click()
    page.get_by_role("button", name="Yes, it is done").click()
    assert_seen_and_focused(page.get_by_role("heading", name="Your request"))
    assert_seen(page.get_by_text("You got the help you needed."))


def test_each_refused_form_shows_why(open_page, long_thread, legacy_conversation, member, help_request, settled_stage):
    key, helping, asking = long_thread
    described = help_request(description=LONG)
    frozen = legacy_conversation(help_request(), helping, member(), *[(helping, f"Old {n}.") for n in range(30)])
    pages = {reader: open_page("/help", reader, javascript=False) for reader in (helping, asking, None)}

    @contextmanager
    def refused(address, button, reader=helping):
        page = pages[reader]
        page.goto(address)
        # As a browser that knows no `required` sends it.
        page.locator("form").evaluate_all("forms => forms.forEach((form) => { form.noValidate = true; })")
        yield page
        page.get_by_role("button", name=button, exact=True).click()
        page.wait_for_load_state()
        # The first wrong field with its sentence; where the form as a whole is refused, the sentence above it.
        wrong = page.locator(".has-errors").first
        if wrong.count():
            expect(wrong.locator("input, textarea, select")).to_be_focused()
            assert_seen(wrong.locator(".field-error"))
        else:
            assert_seen_and_focused(page.locator("[role=alert]:not([hidden])"))

    with refused("/login", "Sign in", None) as page:
        page.fill("[name=email]", "nobody@example.org")
    with refused("/signup", "Join", None) as page:
        page.fill("[name=reason]", "To help.")
    with refused("/account", "Save details") as page:
        page.fill("[name=name]", " ")
    with refused("/account", "Save preferences") as page:
        page.fill("[name=quiet_hours_start]", "22:00")
    with refused("/account/erase", "Delete my account") as page:
        page.fill("[name=password]", "not mine")
    with refused("/requests/new", "Post my request") as page:
        page.fill("[name=description]", LONG)
    with refused(f"/messages/{key}/report", "Report it", asking) as page:
        page.fill("[name=words]", "x")
    with refused(f"/messages/{key}", "Send") as page:
        page.fill("[name=message]", " ")
    with refused(f"/requests/{described.pk}?offer=1#offer", "Send") as page:
        page.fill("[name=initial_message]", "Short")
    with refused(f"/messages/{frozen}", "Continue in the new messaging") as page:
        page.fill("[name=initial_message]", "Short")


@pytest.mark.parametrize("broken", [True, False], ids=["no network", "too short"])
def test_an_offer_that_fails_in_the_page_shows_why(open_page, member, help_request, settled_stage, broken):
    settled_stage("enabled")
    page = open_page(f"/requests/{help_request(description=LONG).pk}", member(), viewport={"width": 390, "height": 420})
    page.get_by_role("button", name="Offer Help").click()
    if broken:
        page.context.route("**/api/messaging/**", lambda route: route.abort())
    page.fill("[name=initial_message]", "I could do that." if broken else "Short")
    page.get_by_role("button", name="Send").click()
    assert_seen(page.locator("[data-failure]"))
    assert_seen(page.get_by_role("button", name="Retry" if broken else "Send"))


@pytest.mark.parametrize("broken", [True, False], ids=["no network", "empty"])
def test_a_message_that_fails_in_the_page_shows_why(open_page, long_thread, broken):
    key, _helping, asking = long_thread
    page = open_page(f"/messages/{key}", asking, viewport={"width": 390, "height": 320})
    page.wait_for_load_state("load")
    if broken:
        page.context.route("**/api/messaging/**", lambda route: route.abort())
    page.fill("[name=message]", "I could do that." if broken else " ")
    page.get_by_role("button", name="Send").click()
    assert_seen(page.locator("[data-failure]"))


def test_a_thread_says_when_the_reader_is_signed_out(open_page, long_thread):
    key, _helping, asking = long_thread
    page = open_page(f"/messages/{key}", asking)
    page.wait_for_load_state("load")
    page.fill("[name=message]", "Half a thought")
    cookies = page.context.cookies()
    page.context.clear_cookies()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    told = page.get_by_text("You are signed out")
    assert_seen(told)
    page.get_by_role("link", name="Sign in again").click()
    expect(page).to_have_url(re.compile(rf"/login\?next=/messages/{key}"))
    page.context.add_cookies([cookie for cookie in cookies if cookie["name"] == "sessionid"])
    page.goto(f"/messages/{key}")
    expect(page.locator("[name=message]")).to_have_value("Half a thought")


def test_staff_have_all_links_in_two_lines_of_a_phone(open_page, long_thread, member):
    key, helping, asking = long_thread
    User.objects.filter(pk=asking.pk).update(is_staff=True)
    member(verification_status="pending")
    send_message(actor=helping, conversation_id=key, content="One more.")
    page = open_page("/help", asking, viewport={"width": 390, "height": 844})
    links = page.locator("header li")
    expect(links).to_contain_text(["Requests", "Messages, unread: 1", "Help", "Account", "Staff, waiting: 1"])
    page.locator("header [data-number]").evaluate("count => { count.textContent = '99+'; }")
    tops = links.evaluate_all("links => links.map((link) => Math.round(link.getBoundingClientRect().top))")
    assert len(set(tops)) == 2, tops
