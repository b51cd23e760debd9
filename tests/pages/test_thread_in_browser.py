"""A thread that stays open: what comes in meanwhile, in a real browser."""

import pytest
from playwright.sync_api import expect

from carecollective.inbox.services import send_message

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
