"""What was typed is never lost: not by a reload, a second tab, a lost connection, a 503, an ended session or a stale token."""

import re

import pytest
from playwright.sync_api import expect

from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.selectors import list_conversations, open_thread
from carecollective.inbox.services import offer_help

pytestmark = pytest.mark.slow
WORDS = "I could come on Friday, after lunch."
DRAFTS = "Object.keys(localStorage).filter((key) => key.startsWith('draft:'))"


@pytest.fixture
def addresses(member, help_request, settled_stage):
    """A member, and the pages on which they write, each with the name of its field and of its button."""
    settled_stage("enabled")
    ada, own = member(name="Ada"), help_request(title="Bread")
    started = offer_help(actor=member(), help_request_id=own.pk, initial_message="I could do that.")
    help_request(title="Milk")
    thread = f"/messages/{started.conversation_id}"
    other = help_request(title="A lift")
    return (
        own.user,
        {
            "ask": ("/requests/new", "description", "Post my request"),
            "offer": (f"/requests/{other.pk}?offer=1", "initial_message", "Send"),
            "thread": (thread, "message", "Send"),
            "report": (f"{thread}/report", "words", "Report it"),
            "contact": ("/contact", "text", "Send"),
        },
        ada,
    )


KINDS = ("ask", "offer", "thread", "report", "contact")


def field(page, name):
    return page.locator(f"textarea[name={name}], input[name={name}]:not([type=hidden])")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_typed_survives_a_reload_and_a_second_tab(open_page, addresses, kind):
    reader, places, _ada = addresses
    address, name, _button = places[kind]
    page = open_page(address, reader)
    page.wait_for_load_state("load")
    field(page, name).fill(WORDS)
    page.reload()
    expect(field(page, name)).to_have_value(WORDS)
    expect(page.get_by_text("What you typed before is still here.")).to_be_visible()
    tab = page.context.new_page()
    tab.goto(address)
    expect(field(tab, name)).to_have_value(WORDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["network", "503"])
def test_what_is_typed_survives_the_network_and_a_503(open_page, addresses, kind, fault):
    reader, places, _ada = addresses
    address, name, button = places[kind]
    page = open_page(address, reader)
    page.wait_for_load_state("load")
    if kind == "ask":
        page.fill("[name=title]", "Milk, please")
    if kind == "report":
        page.select_option("[name=reason]", "spam")
    field(page, name).fill(WORDS)
    failing = {"on": True}

    def fail(route):
        if route.request.method != "POST" or not failing["on"]:
            route.continue_()
        elif fault == "network":
            route.abort()
        else:
            route.fulfill(status=503, body="{}", content_type="application/json")

    page.context.route("**/*", fail)
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.locator("[role=alert]:visible").first).to_be_visible()
    page.reload()
    expect(field(page, name)).to_have_value(WORDS)
    failing["on"] = False
    page.get_by_role("button", name=button, exact=True).click()
    if kind == "thread":
        expect(page.locator(".bubble.mine:not(.pending)", has_text=WORDS)).to_be_visible()
    else:
        page.wait_for_url(lambda url: not url.split("#")[0].endswith(address))
    assert page.evaluate(DRAFTS) == []
    assert page.url.startswith("http")


@pytest.mark.parametrize("kind", ["ask", "offer", "thread", "report"])
def test_what_is_typed_survives_a_new_sign_in(open_page, addresses, kind):
    reader, places, ada = addresses
    address, name, button = places[kind]
    page = open_page(address, reader)
    page.wait_for_load_state("load")
    session = [cookie for cookie in page.context.cookies() if cookie["name"] == "sessionid"]
    if kind == "ask":
        page.fill("[name=title]", "Milk, please")
    if kind == "report":
        page.select_option("[name=reason]", "spam")
    field(page, name).fill(WORDS)
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name=button, exact=True).click()
    told = page.locator(".notice:visible", has_text="You are signed out.").first
    expect(told).to_be_visible()
    expect(told.get_by_role("link", name="Sign in again")).to_have_attribute("href", re.compile("/login\\?next="))
    page.context.add_cookies(session)
    page.goto(address)
    expect(field(page, name)).to_have_value(WORDS)
    # Nobody else on this device gets them.
    page.context.clear_cookies(name="sessionid")
    other = open_page("/help", ada)
    page.context.add_cookies([cookie for cookie in other.context.cookies() if cookie["name"] == "sessionid"])
    if kind in ("ask", "offer"):
        page.goto(address)
        expect(field(page, name)).to_have_value("")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stale_token_is_renewed_by_itself(open_page, addresses, kind):
    reader, places, _ada = addresses
    address, name, button = places[kind]
    page = open_page(address, reader)
    page.wait_for_load_state("load")
    if kind == "ask":
        page.fill("[name=title]", "Milk, please")
    if kind == "report":
        page.select_option("[name=reason]", "spam")
    field(page, name).fill(WORDS)
    page.context.clear_cookies(name="csrftoken")
    page.get_by_role("button", name=button, exact=True).click()
    if kind == "thread":
        expect(page.locator(".bubble.mine:not(.pending)", has_text=WORDS)).to_be_visible()
    else:
        page.wait_for_url(lambda url: not url.split("#")[0].endswith(address))
    assert page.evaluate(DRAFTS) == []


def test_what_is_typed_to_join_survives_but_not_the_password(open_page, site):
    page = open_page("/signup")
    page.wait_for_load_state("load")
    for name, typed in (("name", "Vera"), ("email", "vera@example.org"), ("password", "three green apples")):
        page.fill(f"[name={name}]", typed)
    page.fill("[name=reason]", WORDS)
    failing = {"on": True}
    page.route(
        "**/signup",
        lambda route: route.abort() if route.request.method == "POST" and failing["on"] else route.continue_(),
    )
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_text("This did not get through.")).to_be_visible()
    expect(field(page, "password")).to_have_value("three green apples")
    assert "apples" not in page.evaluate("JSON.stringify(localStorage)")
    page.reload()
    expect(field(page, "reason")).to_have_value(WORDS)
    expect(field(page, "password")).to_have_value("")
    page.fill("[name=password]", "apples")
    failing["on"] = False
    page.get_by_role("button", name="Join").click()
    # Too short, says the server's own page.
    page.wait_for_selector(".field-error")
    expect(field(page, "password")).to_be_focused()
    expect(field(page, "email")).to_have_value("vera@example.org")
    page.fill("[name=password]", "three green apples")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_label("The code from the mail")).to_be_visible()
    assert page.evaluate(DRAFTS) == []


def test_a_visitors_words_stay_on_a_device_for_a_day_only(open_page, member, site):
    page = open_page("/help")
    page.evaluate(
        """() => {
        for (const [key, days] of [["draft::/contact", 2], ["draft::/signup", 0.5], ["draft:somebody:/contact", 2]])
            localStorage.setItem(key, JSON.stringify({ at: Date.now() - days * 24 * 3600 * 1000, fields: { text: "x" } }));
        }"""
    )
    page.reload()
    page.wait_for_load_state("load")
    assert sorted(page.evaluate(DRAFTS)) == ["draft::/signup", "draft:somebody:/contact"]


def test_signing_out_takes_the_drafts_away(open_page, addresses):
    reader, places, _ada = addresses
    page = open_page(places["thread"][0], reader)
    page.wait_for_load_state("load")
    field(page, "message").fill(WORDS)
    assert len(page.evaluate(DRAFTS)) == 1
    page.goto("/logout")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert page.evaluate(DRAFTS) == []


def test_somebody_elses_session_does_not_send_my_words(open_page, addresses):
    """Another member signs in on the same device, in another tab: their session must not send what was typed here."""
    reader, places, ada = addresses
    address, name, button = places["offer"]
    page = open_page(address, reader)
    page.wait_for_load_state("load")
    field(page, name).fill(WORDS)
    other = open_page("/requests/new", ada)
    page.context.clear_cookies()
    page.context.add_cookies(other.context.cookies())
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    assert list_conversations(reader=ada).rows == []


def test_words_whose_answer_was_lost_are_not_offered_again(open_page, addresses):
    reader, places, _ada = addresses
    page = open_page(places["thread"][0], reader)

    def lose(route):
        route.fetch()
        route.abort()

    page.route("**/api/messaging/**/messages", lose)
    page.route("**/latest", lambda route: route.abort())
    field(page, "message").fill(WORDS)
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".bubble.failed")).to_be_visible()
    page.reload()
    expect(page.locator(".bubble.mine", has_text=WORDS)).to_have_count(1)
    expect(field(page, "message")).to_have_value("")
    key = places["thread"][0].split("/")[-1]
    assert len(open_thread(reader=reader, conversation_id=key, mark_read=False).messages) == 1


def test_a_refused_request_shows_the_servers_page_and_keeps_all(open_page, addresses):
    reader, places, _ada = addresses
    page = open_page(places["ask"][0], reader)
    page.wait_for_load_state("load")
    page.fill("[name=title]", " ")
    page.fill("[name=description]", WORDS)
    page.get_by_role("button", name="Post my request").click()
    page.wait_for_selector(".field-error")
    expect(field(page, "description")).to_have_value(WORDS)
    assert not HelpRequest.objects.filter(description=WORDS).exists()


def test_what_staff_typed_survives_until_it_is_taken(open_page, member, staff):
    member(name="Vera", verification_status="pending")
    sam = staff(name="Sam")
    page = open_page("/admin/applicants/", sam)
    page.wait_for_load_state("load")
    field(page, "reason").fill(WORDS)
    page.reload()
    expect(field(page, "reason")).to_have_value(WORDS)
    expect(page.get_by_text("What you typed before is still here.")).to_be_visible()
    session = [cookie for cookie in page.context.cookies() if cookie["name"] == "sessionid"]
    page.context.clear_cookies(name="sessionid")
    page.get_by_label("Vera").check()
    page.get_by_role("button", name="Do not approve").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    page.context.add_cookies(session)
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_text("Not approved: Vera.")).to_be_visible()
    assert page.evaluate(DRAFTS) == []
