"""The playbook's browser flows (2.3), with two members in two browsers, on the real server."""

import re

import pytest
from playwright.sync_api import expect

from carecollective.inbox.selectors import list_conversations
from tests.browser import DESKTOP, PHONE
from tests.waiting import wait_for

OFFER = "Hi! I can pick those up for you."
REPLY = "Thank you! Tomorrow at 2pm?"
THREAD = re.compile(r"/messages/[0-9a-f-]{36}")


@pytest.fixture(params=[True, False], ids=["javascript", "no_javascript"])
def javascript(request):
    return request.param


def open_dialog(page):
    page.click('button:has-text("Offer Help")')
    expect(page.locator('[name="initial_message"]')).to_be_visible()


@pytest.mark.parametrize(("stage_name", "version"), [("disabled", "v1"), ("enabled", "v2")])
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_request_an_offer_and_an_answer(open_page, member, settled_stage, javascript, stage_name, version, viewport):
    settled_stage(stage_name)
    asking, helping = member(name="Asta Lund"), member(name="Hugo Brandt")

    asks = open_page("/requests/new", asking, viewport=viewport, javascript=javascript)
    asks.fill('[name="title"]', "Need groceries")
    asks.fill('[name="description"]', "Need milk and bread")
    asks.click('button[type="submit"]')
    expect(asks).to_have_url(re.compile(r"/requests/[0-9a-f]{8}-"))

    helps = open_page("/requests", helping, viewport=viewport, javascript=javascript)
    helps.click("text=Need groceries")
    open_dialog(helps)
    helps.fill('[name="initial_message"]', OFFER)
    helps.click('button:has-text("Send")')
    expect(helps).to_have_url(THREAD)
    expect(helps.locator(f"text={OFFER}")).to_be_visible()

    asks.goto("/messages")
    card = asks.get_by_test_id("conversation-card")
    expect(card).to_have_count(1)
    assert ("Legacy Conversation" in card.inner_text()) == (version == "v1")
    asks.click("text=Need groceries")
    asks.fill('[name="message"]', REPLY)
    asks.click('button:has-text("Send")')
    expect(asks.locator("text=Tomorrow at 2pm")).to_be_visible()

    helps.goto("/messages")
    expect(helps.get_by_test_id("conversation-card")).to_contain_text("Tomorrow at 2pm")
    assert [row.version for row in list_conversations(reader=helping).rows] == [version]


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
def test_an_impatient_double_click_makes_one_conversation(open_page, member, help_request, settled_stage, stage_name):
    settled_stage(stage_name)
    helping, request = member(), help_request()
    page = open_page(f"/requests/{request.pk}", helping)
    open_dialog(page)
    page.click('button:has-text("Offer Help")')
    page.fill('[name="initial_message"]', OFFER)
    page.locator('button:has-text("Send")').dblclick()
    expect(page).to_have_url(THREAD)
    page.goto("/messages")
    expect(page.get_by_test_id("conversation-card")).to_have_count(1)
    assert len(list_conversations(reader=request.user).rows) == 1


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
def test_a_plain_form_that_is_sent_twice_makes_one_conversation(
    open_page, member, help_request, settled_stage, stage_name
):
    settled_stage(stage_name)
    helping, request = member(), help_request()
    page = open_page(f"/requests/{request.pk}", helping, javascript=False)
    open_dialog(page)
    page.fill('[name="initial_message"]', OFFER)
    arrived: list[int | None] = []

    def keep_the_first_answer(route):
        if route.request.method == "POST":
            if not arrived:
                # The site has it, and the page stays: time enough for an impatient second click.
                arrived.append(route.fetch(max_redirects=0).status)
                return
            arrived.append(None)
        route.continue_()

    page.route("**/requests/*", keep_the_first_answer)
    send = page.locator('button:has-text("Send")')
    send.hover()
    box = send.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    # By the mouse alone: a locator's second click would wait for what the first one leads to.
    page.mouse.click(*middle)
    wait_for(lambda: page.wait_for_timeout(20) or arrived, seconds=10)
    page.mouse.click(*middle)
    expect(page).to_have_url(THREAD)
    assert arrived == [302, None]
    page.goto("/messages")
    expect(page.get_by_test_id("conversation-card")).to_have_count(1)
    assert len(list_conversations(reader=request.user).rows) == 1


def test_offering_twice_leads_to_the_one_conversation(open_page, member, help_request, settled_stage, javascript):
    settled_stage("enabled")
    helping, request = member(), help_request()
    first = open_page(f"/requests/{request.pk}", helping, javascript=javascript)
    second = open_page(f"/requests/{request.pk}", helping, javascript=javascript)
    addresses = []
    for page in (first, second):
        open_dialog(page)
    for page in (first, second):
        page.fill('[name="initial_message"]', OFFER)
        page.click('button:has-text("Send")')
        expect(page).to_have_url(THREAD)
        addresses.append(page.url.split("?")[0].split("#")[0])
    assert addresses[0] == addresses[1]


def test_a_failing_network_keeps_the_text_and_retry_leads_on(open_page, member, help_request, settled_stage):
    settled_stage("enabled")
    page = open_page(f"/requests/{help_request().pk}", member())
    page.context.route("**/api/messaging/**", lambda route: route.abort())
    open_dialog(page)
    page.fill('[name="initial_message"]', OFFER)
    page.click('button:has-text("Send")')
    expect(page.locator("text=Failed to start conversation")).to_be_visible()
    expect(page.locator('[name="initial_message"]')).to_have_value(OFFER)

    page.click('button:has-text("Retry")')
    expect(page.locator("text=Failed to start conversation")).to_be_visible()

    page.context.unroute("**/api/messaging/**")
    page.click('button:has-text("Retry")')
    expect(page).to_have_url(THREAD)
    expect(page.locator(f"text={OFFER}")).to_be_visible()


def test_a_lost_answer_and_a_retry_make_one_conversation(open_page, member, help_request, settled_stage):
    settled_stage("enabled")
    helping = member()
    page = open_page(f"/requests/{help_request().pk}", helping)

    def deliver_but_lose_the_answer(route):
        route.fetch()
        route.abort()

    page.context.route("**/api/messaging/**", deliver_but_lose_the_answer)
    open_dialog(page)
    page.fill('[name="initial_message"]', OFFER)
    page.click('button:has-text("Send")')
    expect(page.locator("text=Failed to start conversation")).to_be_visible()
    page.context.unroute("**/api/messaging/**")
    page.click('button:has-text("Retry")')
    expect(page).to_have_url(THREAD)
    assert len(list_conversations(reader=helping).rows) == 1


def test_a_message_that_cannot_be_taken_keeps_the_text(open_page, member, help_request, settled_stage, javascript):
    settled_stage("enabled")
    helping = member()
    page = open_page(f"/requests/{help_request().pk}", helping, javascript=javascript)
    open_dialog(page)
    page.fill('[name="initial_message"]', "Too short")
    page.click('button:has-text("Send")')
    expect(page.locator("text=at least 10 characters")).to_be_visible()
    expect(page.locator('[name="initial_message"]')).to_have_value("Too short")
    assert not list_conversations(reader=helping).rows


def test_a_new_message_appears_without_reloading(open_page, member, help_request, settled_stage):
    settled_stage("enabled")
    helping, request = member(), help_request(title="Need groceries")
    helps = open_page(f"/requests/{request.pk}", helping)
    open_dialog(helps)
    helps.fill('[name="initial_message"]', OFFER)
    helps.click('button:has-text("Send")')
    expect(helps).to_have_url(THREAD)

    asks = open_page(helps.url.split("?")[0], request.user)
    asks.fill('[name="message"]', '<b>Bring</b> the "big" bag & a smile 😊')
    asks.click('button:has-text("Send")')
    expect(helps.locator('text=<b>Bring</b> the "big" bag & a smile 😊')).to_be_visible(timeout=30_000)


def test_offering_again_opens_the_conversation_and_keeps_the_text(open_page, member, help_request, settled_stage):
    settled_stage("enabled")
    helping, request = member(), help_request()
    page = open_page(f"/requests/{request.pk}", helping)
    open_dialog(page)
    for text in (OFFER, "One more thing: I could also bring soup."):
        page.fill('[name="initial_message"]', text)
        page.click('button:has-text("Send")')
        expect(page).to_have_url(THREAD)
        thread = page.url
        # A page that was opened before, or kept as a bookmark.
        page.goto(f"/requests/{request.pk}?offer=1")
    page.goto(thread)
    expect(page.locator('[name="message"]')).to_have_value(text)
    assert len(list_conversations(reader=helping).rows) == 1


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
def test_going_back_and_sending_again_stores_nothing_twice(open_page, member, help_request, settled_stage, stage_name):
    """Without JavaScript, as an impatient member does whose connection is slow: Back, where the words still stand, and Send."""
    settled_stage(stage_name)
    asking, other = member(), help_request()
    page = open_page("/requests/new", asking, javascript=False)
    page.fill('[name="title"]', "Need groceries")
    page.click('button:has-text("Post my request")')
    expect(page).to_have_url(re.compile(r"/requests/[0-9a-f-]{36}"))
    posted = page.url
    page.go_back()
    expect(page.locator('[name="title"]')).to_have_value("Need groceries")
    page.click('button:has-text("Post my request")')
    expect(page).to_have_url(posted)

    page.goto(f"/requests/{other.pk}?offer=1")
    page.fill('[name="initial_message"]', OFFER)
    page.click('button:has-text("Send")')
    expect(page).to_have_url(THREAD)
    thread = page.url.split("#")[0]
    page.fill('[name="message"]', REPLY)
    page.click('button:has-text("Send")')
    expect(page).to_have_url(f"{thread}#latest")
    page.go_back()
    expect(page.locator('[name="message"]')).to_have_value(REPLY)
    page.click('button:has-text("Send")')
    expect(page).to_have_url(f"{thread}#latest")
    expect(page.locator(".words", has_text=REPLY)).to_have_count(1)
    page.goto("/requests")
    expect(page.locator("text=Need groceries")).to_have_count(1)


@pytest.mark.parametrize(
    "words",
    ["Call me at 417-555-0134.", "Write to ben@example.org", "See https://example.org", "I live at 12 Old Mill Road"],
)
def test_personal_data_in_an_offer_is_remarked_on_and_sent(open_page, member, help_request, settled_stage, words):
    settled_stage("enabled")
    page = open_page(f"/requests/{help_request().pk}", member())
    open_dialog(page)
    note = page.get_by_text("many wait until they know each other")
    page.fill('[name="initial_message"]', "I could come on 3 May at 10:30, or on the 12th.")
    expect(note).to_be_hidden()
    page.fill('[name="initial_message"]', words)
    expect(note).to_be_visible()
    page.click('button:has-text("Send")')
    expect(page).to_have_url(THREAD)
