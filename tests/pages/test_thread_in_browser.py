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
