"""The bubbles and cards that are made in Python: everything that somebody wrote is escaped."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from django.template import engines
from django.test import RequestFactory

from carecollective.inbox.records import ConversationRow, LastMessage, MessageRecord, Person, RequestSummary
from rollout.versions import MessagingVersion

EVIL = """<img src=x onerror="alert('x')"> & more"""
ESCAPED = "&lt;img src=x onerror=&quot;alert(&#x27;x&#x27;)&quot;&gt; &amp; more"
AT = datetime(2026, 11, 29, 14, 5, tzinfo=UTC)
READER = uuid4()
TOKEN = "t" * 64


def said(**fields: Any) -> MessageRecord:
    given: dict[str, Any] = {
        "id": uuid4(),
        "sender_id": uuid4(),
        "content": "Hello",
        "created_at": AT,
        "updated_at": AT,
    }
    return MessageRecord(**given | {"sender_name": "Ben"} | fields)


def bubbles(*shown: MessageRecord, first_unread: MessageRecord | None = None) -> str:
    source = "{% load inbox_rows %}{% message_bubbles shown conversation=key reader=reader first_unread=first_unread %}"
    given = {"shown": shown, "key": UUID(int=1), "reader": READER, "first_unread": first_unread}
    return engines["django"].from_string(source).render(given, RequestFactory().get("/"))


def row(**fields: Any) -> ConversationRow:
    given: dict[str, Any] = {
        "id": uuid4(),
        "version": MessagingVersion.V2,
        "help_request": RequestSummary(uuid4(), "Milk", "open"),
        "other_participant": Person(uuid4(), "Ben"),
        "status": "active",
        "last_message": LastMessage(uuid4(), uuid4(), "Hello", AT),
        "unread_count": 0,
        "updated_at": AT,
    }
    return ConversationRow(**given | fields)


def cards(*rows: ConversationRow, **more: Any) -> str:
    source = "{% load inbox_rows %}{% conversation_cards rows %}"
    given = {"rows": rows, "user": SimpleNamespace(pk=READER), "csrf_token": TOKEN} | more
    return engines["django"].from_string(source).render(given, RequestFactory().get("/"))


def test_a_bubble_escapes_the_words_and_the_name():
    page = bubbles(said(content=EVIL, sender_name=EVIL))
    assert EVIL not in page
    assert page.count(ESCAPED) == 3  # the name, the words, and the name for who hears the page


def test_a_card_escapes_whatever_somebody_wrote():
    page = cards(
        row(
            help_request=RequestSummary(uuid4(), EVIL, "open"),
            other_participant=Person(uuid4(), EVIL),
            last_message=LastMessage(uuid4(), uuid4(), EVIL, AT, third=EVIL),
        )
    )
    assert EVIL not in page
    assert page.count(ESCAPED) == 8
    assert "<img" not in page


def test_an_excerpt_is_cut_before_it_is_escaped():
    page = cards(row(last_message=LastMessage(uuid4(), uuid4(), "&" * 130, AT)))
    assert "&amp;" * 119 + "…" in page


def test_only_others_messages_that_can_be_seen_can_be_reported():
    assert 'class="report"' in bubbles(said())
    for fields in (
        {"sender_id": READER},
        {"is_system": True},
        {"is_withheld": True},
        {"is_reported": True},
        {"sender_name": "Former member"},
    ):
        assert 'class="report"' not in bubbles(said(**fields)), fields


def test_a_first_message_without_an_id_is_reported_by_the_thread():
    page = bubbles(said(id=None))
    assert "data-id" not in page
    assert f'href="/messages/{UUID(int=1)}/report"' in page


def test_the_mark_stands_above_the_first_unread_message():
    old, new = said(), said(content="New")
    page = bubbles(old, new, first_unread=new)
    assert page.index("Hello") < page.index('id="latest"') < page.index(">New<")
    assert "latest" not in bubbles(old, new)


def test_a_card_says_how_many_are_unread():
    assert ">3 new<" in cards(row(unread_count=3, has_new=True))
    assert ">99+ new<" in cards(row(unread_count=100, has_new=True))
    assert ">Unread<" in cards(row(unread_count=1))
    assert "tag new" not in cards(row())


def test_each_form_of_a_card_carries_the_token():
    page = cards(row(), row(unread_count=1))
    assert page.count(f'value="{TOKEN}"') == page.count("<form") == 3
