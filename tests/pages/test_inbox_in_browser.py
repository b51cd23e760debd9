"""A list of conversations that stays open: what comes in meanwhile, in a real browser."""

import pytest
from playwright.sync_api import expect

from carecollective.inbox.services import offer_help, send_message

pytestmark = pytest.mark.slow


@pytest.fixture
def conversation(member, help_request, settled_stage):
    settled_stage("enabled")
    helping, request = member(name="Hugo Brandt"), help_request(title="Milk and bread")
    started = offer_help(actor=helping, help_request_id=request.pk, initial_message="I could do that.")
    return started.conversation_id, helping, request.user


def test_an_open_list_shows_what_comes_in_and_says_so(open_page, conversation, member, help_request):
    key, helping, asking = conversation
    page = open_page("/messages", asking, clock=True)
    card = page.get_by_test_id("conversation-card")
    expect(card).to_have_count(1)
    expect(page).to_have_title("(1) Messages · Care Collective")
    page.get_by_role("link", name="Milk and bread").focus()
    send_message(actor=helping, conversation_id=key, content="Shall I come at ten?")
    other = help_request(user=asking, title="A lift to town")
    offer_help(actor=member(name="Tess Oda"), help_request_id=other.pk, initial_message="I drive there on Friday.")
    page.clock.fast_forward("05")
    expect(card).to_have_count(2)
    expect(card.first).to_contain_text("A lift to town")
    expect(page.locator("[data-announce]")).to_have_text("New from Tess Oda, Hugo Brandt.")
    expect(page.locator(".site-header [data-number]")).to_have_text("3")
    expect(page).to_have_title("(3) Messages · Care Collective")
    expect(page.get_by_role("link", name="Milk and bread")).to_be_focused()


def test_the_list_is_asked_for_more_seldom_the_quieter_it_is(open_page, conversation):
    _key, _helping, asking = conversation
    page = open_page("/messages", asking, clock=True)
    page.wait_for_load_state("load")
    asked = []

    def answer(route):
        asked.append(route.request.url)
        if is_down:
            route.abort()
        else:
            route.fulfill(status=304)

    def asked_within(seconds):
        before = len(asked)
        for _second in range(seconds):
            page.clock.run_for(1000)
            page.wait_for_timeout(5)
        return len(asked) - before

    is_down = False
    page.context.route("**/messages/latest*", answer)
    assert 5 <= asked_within(30) <= 11
    page.clock.run_for(10 * 60_000)
    assert 1 <= asked_within(60) <= 3
    # After errors it asks more seldom still, and goes on asking.
    is_down = True
    assert 1 <= asked_within(180) <= 4
    is_down = False
    assert asked_within(90) >= 1


def test_marking_and_archiving_from_the_list(open_page, conversation):
    key, helping, asking = conversation
    page = open_page(f"/messages/{key}", asking)
    page.get_by_role("button", name="Mark as unread").click()
    expect(page.get_by_text("counts as unread until you open it again")).to_be_focused()
    expect(page.get_by_test_id("conversation-card")).to_contain_text("Unread")
    page.locator("summary", has_text="More for Milk and bread, with Hugo Brandt").click()
    page.get_by_role("button", name="Archive").click()
    expect(page.get_by_test_id("conversation-card")).to_have_count(0)
    send_message(actor=helping, conversation_id=key, content="One more thing")
    page.reload()
    expect(page.get_by_test_id("conversation-card")).to_contain_text("One more thing")
