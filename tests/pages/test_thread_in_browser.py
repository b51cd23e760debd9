"""A thread that stays open: what comes in meanwhile, in a real browser."""

import re
from collections import Counter
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from carecollective.inbox.services import offer_help, send_message

pytestmark = pytest.mark.slow


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
    page.wait_for_load_state("networkidle")
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


def test_a_message_whose_poll_fails_is_told_to_be_sent(open_page, member, help_request, settled_stage):
    settled_stage("enabled")
    helping, request = member(), help_request()
    started = offer_help(actor=helping, help_request_id=request.pk, initial_message="I could do that.")
    page = open_page(f"/messages/{started.conversation_id}", helping, clock=True)
    page.context.route("**/latest", lambda route: route.abort())
    page.get_by_label("Your message").fill("Shall I come at ten?")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Your message was sent.")).to_be_visible()
    page.context.unroute("**/latest")
    page.clock.fast_forward("05")
    expect(page.locator(".bubble .words")).to_have_text(["I could do that.", "Shall I come at ten?"])
    expect(page.get_by_text("Your message was sent.")).to_be_hidden()


def test_an_open_thread_loads_each_module_once_by_its_hashed_name(open_page, member, help_request, settled_stage):
    settled_stage("enabled")
    helping, request = member(), help_request()
    started = offer_help(actor=helping, help_request_id=request.pk, initial_message="I could do that.")
    page = open_page("/help", helping)
    loaded = []
    page.on("response", lambda answer: loaded.append((answer.request.resource_type, urlsplit(answer.url).path)))
    page.goto(f"/messages/{started.conversation_id}")
    page.wait_for_load_state("networkidle")
    modules = [re.fullmatch(r"/static/js/(\w+)\.[0-9a-f]{12}\.js", path) for kind, path in loaded if kind == "script"]
    assert all(modules), loaded
    assert Counter(found[1] for found in modules if found) == {"api": 1, "counter": 1, "thread": 1, "times": 1}
