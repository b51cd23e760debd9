"""A thread that stays open: what comes in meanwhile, in a real browser."""

import re
from collections import Counter
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from carecollective.inbox.closing.services import close_conversation
from carecollective.inbox.selectors import open_thread
from carecollective.inbox.services import offer_help, send_message

pytestmark = pytest.mark.slow
MODULES = ("api", "compose", "counter", "drafts", "forms", "polling", "thread", "time-zone", "times")


def test_what_comes_in_meanwhile_stands_under_its_own_authors_name(
    open_page, member, help_request, stage, legacy_conversation, beyond_policies
):
    stage("disabled")
    helping, asking, third = (member(name=name) for name in ("Hugo Brandt", 'Asta "L" </ol>', "Tess & Oda"))
    key = legacy_conversation(help_request(user=asking), helping, asking, (helping, "I can come."))
    with beyond_policies() as cursor:
        cursor.execute(
            "INSERT INTO conversation_participants (conversation_id, user_id) VALUES (%s, %s)", [key, third.pk]
        )
    page = open_page(f"/messages/{key}", helping)
    page.wait_for_load_state("load")
    for author in (third, asking, helping):
        send_message(actor=author, conversation_id=key, content="Until then.")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    names = [person.name for person in (helping, third, asking, helping)]
    expect(page.locator(".bubble .who")).to_have_text(names)
    page.reload()
    expect(page.locator(".bubble .who")).to_have_text(names)


def test_what_was_stored_late_stands_before_what_came_after_it(
    open_page, member, help_request, settled_stage, beyond_policies
):
    settled_stage("enabled")
    helping, request = member(), help_request()
    asking = request.user
    started = offer_help(actor=helping, help_request_id=request.pk, initial_message="I could do that.")
    page = open_page(f"/messages/{started.conversation_id}", helping, clock=True)
    late = send_message(actor=asking, conversation_id=started.conversation_id, content="Stored late.")
    with beyond_policies() as cursor:
        cursor.execute("DELETE FROM messages_v2 WHERE id = %s RETURNING created_at", [late.message.id])
        ((created_at,),) = cursor.fetchall()
    send_message(actor=asking, conversation_id=started.conversation_id, content="Said after it.")
    page.clock.fast_forward("05")
    expect(page.locator(".bubble .words")).to_have_text(["I could do that.", "Said after it."])
    with beyond_policies() as cursor:
        cursor.execute(
            "INSERT INTO messages_v2 (id, conversation_id, sender_id, content, created_at) VALUES (%s, %s, %s, %s, %s)",
            [late.message.id, started.conversation_id, asking.pk, "Stored late.", created_at],
        )
    page.clock.fast_forward("05")
    expect(page.locator(".bubble .words")).to_have_text(["I could do that.", "Stored late.", "Said after it."])


@pytest.fixture
def conversation(member, help_request, settled_stage):
    """A conversation of the new messaging: its id, who helps and who asked."""
    settled_stage("enabled")
    helping, request = member(name="Hugo Brandt"), help_request()
    started = offer_help(actor=helping, help_request_id=request.pk, initial_message="I could do that.")
    return started.conversation_id, helping, request.user


def stored(reader, key):
    return [said.content for said in open_thread(reader=reader, conversation_id=key, mark_read=False).messages]


def test_a_message_whose_poll_fails_stands_there_as_sent(open_page, conversation):
    key, helping, _asking = conversation
    page = open_page(f"/messages/{key}", helping, clock=True)
    page.context.route("**/latest", lambda route: route.abort())
    page.get_by_label("Your message").fill("Shall I come at ten?")
    page.get_by_role("button", name="Send").click()
    sent = page.locator(".bubble.mine", has_text="Shall I come at ten?")
    expect(sent.locator("time")).to_be_visible()
    expect(page.locator(".bubble.pending")).to_have_count(0)
    page.context.unroute("**/latest")
    page.clock.fast_forward("30")
    page.clock.fast_forward("30")
    expect(page.locator(".bubble .words")).to_have_text(["I could do that.", "Shall I come at ten?"])


def test_a_message_stands_there_at_once_and_is_settled(open_page, conversation):
    key, helping, asking = conversation
    page = open_page(f"/messages/{key}", helping)
    held = []

    def hold(route):
        held.append(route)

    page.route("**/api/messaging/**/messages", hold)
    for words in ("First.", "Second."):
        page.get_by_label("Your message").fill(words)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Your message")).to_have_value("")
    expect(page.locator(".bubble.sending .words")).to_have_text(["First.", "Second."])
    expect(page.get_by_label("Your message")).to_be_focused()
    send_message(actor=asking, conversation_id=key, content="Meanwhile.")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(".bubble .words")).to_have_text(["I could do that.", "Meanwhile.", "First.", "Second."])
    # One after the other: the second goes out when the first has arrived.
    assert len(held) == 1
    held.pop().continue_()
    page.wait_for_timeout(300)
    held.pop().continue_()
    expect(page.locator(".bubble.pending")).to_have_count(0)
    assert stored(asking, key) == ["Meanwhile.", "First.", "Second."]


def test_a_message_that_fails_is_kept_and_can_be_tried_again(open_page, conversation):
    key, helping, asking = conversation
    page = open_page(f"/messages/{key}", helping)
    lost = []

    def deliver_but_lose_the_answer(route):
        lost.append(route.request.post_data_json["id"])
        if len(lost) == 2:
            route.fetch()
        route.abort()

    page.route("**/api/messaging/**/messages", deliver_but_lose_the_answer)
    page.route("**/latest", lambda route: route.abort())
    page.get_by_label("Your message").fill("Shall I come at ten?")
    page.get_by_role("button", name="Send").click()
    failed = page.locator(".bubble.failed")
    expect(failed).to_contain_text("Shall I come at ten?")
    expect(page.get_by_role("alert")).to_contain_text("did not get through")
    failed.get_by_role("button", name="Retry").click()
    expect(failed).to_be_visible()
    page.unroute("**/api/messaging/**/messages")
    failed.get_by_role("button", name="Retry").click()
    expect(page.locator(".bubble.pending")).to_have_count(0)
    assert stored(asking, key) == ["Shall I come at ten?"]
    assert len(set(lost)) == 1


def test_a_message_that_cannot_be_sent_goes_back_into_the_box(open_page, conversation):
    key, helping, asking = conversation
    page = open_page(f"/messages/{key}", helping)
    close_conversation(actor=asking, conversation_id=key)
    page.get_by_label("Your message").fill("Shall I come at ten?")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("closed")
    expect(page.get_by_label("Your message")).to_have_value("Shall I come at ten?")
    expect(page.locator(".bubble .words")).to_have_text(["I could do that."])


def test_the_message_field_is_two_tabs_away(open_page, conversation):
    key, helping, asking = conversation
    for number in range(55):
        send_message(actor=asking, conversation_id=key, content=f"Message {number}.") if number % 50 else None
    for javascript in (True, False):
        page = open_page(f"/messages/{key}", helping, javascript=javascript)
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Write a message")
        expect(skip).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_label("Your message")).to_be_focused()


def test_each_report_link_says_whose_message_and_when(open_page, conversation):
    key, helping, asking = conversation
    send_message(actor=asking, conversation_id=key, content="Please do.")
    send_message(actor=asking, conversation_id=key, content="At ten?")
    page = open_page(f"/messages/{key}", helping, timezone_id="Europe/Berlin", locale="en-GB")
    links = page.get_by_role("link", name=re.compile(rf"^Report the message of {re.escape(asking.name)}, .*20\d\d"))
    expect(links).to_have_count(2)


def test_send_stays_in_view_above_a_phones_keyboard(open_page, conversation):
    key, helping, asking = conversation
    for number in range(20):
        send_message(actor=asking, conversation_id=key, content=f"Message {number}.")
    page = open_page(f"/messages/{key}", helping)
    assert "interactive-widget=resizes-content" in str(page.locator("meta[name=viewport]").get_attribute("content"))
    page.get_by_label("Your message").focus()
    # What a keyboard does to a page whose content is resized with it.
    page.set_viewport_size({"width": 390, "height": 400})
    expect(page.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)


def test_an_open_thread_loads_each_module_once_by_its_hashed_name(open_page, member, help_request, settled_stage):
    settled_stage("enabled")
    helping, request = member(), help_request()
    started = offer_help(actor=helping, help_request_id=request.pk, initial_message="I could do that.")
    page = open_page("/help", helping)
    loaded = []
    page.on("response", lambda answer: loaded.append((answer.request.resource_type, urlsplit(answer.url).path)))
    page.goto(f"/messages/{started.conversation_id}")
    page.wait_for_load_state("load")
    modules = [
        re.fullmatch(r"/static/js/([\w-]+)\.[0-9a-f]{12}\.js", path) for kind, path in loaded if kind == "script"
    ]
    assert all(modules), loaded
    assert Counter(found[1] for found in modules if found) == dict.fromkeys(MODULES, 1)
