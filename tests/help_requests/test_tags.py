"""The card of a request in a list: what kind, how soon, in which state; unknown legacy values as they are, escaped."""

import re
from typing import Any

import pytest
from django.utils import timezone

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.templatetags.help_requests import request_cards, request_tags


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [("tag", "Something else")]),
        (
            {"category": "groceries-meals", "urgency": "critical"},
            [("tag", "Groceries and meals"), ("tag critical", "Very urgent")],
        ),
        (
            {"urgency": "urgent", "status": "in_progress"},
            [("tag", "Something else"), ("tag urgent", "Soon"), ("tag status", "In progress")],
        ),
        ({"urgency": "urgent", "status": "completed"}, [("tag", "Something else"), ("tag status", "Completed")]),
        ({"category": None, "urgency": None, "status": None}, []),
        ({"category": "<c>", "status": '<"s">'}, [("tag", "&lt;c&gt;"), ("tag status", "&lt;&quot;s&quot;&gt;")]),
        ({"urgency": "<u>"}, [("tag", "Something else"), ("tag &lt;u&gt;", "&lt;u&gt;")]),
    ],
)
def test_a_request_says_what_is_needed(fields, expected):
    found = request_tags(HelpRequest(**fields))
    assert re.findall(r'<span class="([^"]*)">([^<]*)</span>', found) == expected


def asked_by(owner: User, **fields: Any) -> HelpRequest:
    return HelpRequest(user=owner, created_at=timezone.now(), **fields)


def card(asked: HelpRequest, reader: User | None = None) -> str:
    return request_cards([asked], reader)


@pytest.mark.parametrize(
    ("name", "location", "expected"),
    [
        ("Ada Lovelace", "Springfield", "Ada, Springfield"),
        ("Ada", "", "Ada"),
        ("Ada", None, "Ada"),
        ("<b>Ada", '"<b>"', "&lt;b&gt;Ada, &quot;&lt;b&gt;&quot;"),
    ],
)
def test_a_card_names_the_owner_and_the_place(name, location, expected):
    asked = asked_by(User(name=name, location=location))
    for reader in (None, User()):
        assert re.findall(r'<p class="byline">\s*(.*?)\s*·', card(asked, reader)) == [expected]


def test_a_reader_is_told_which_requests_are_their_own():
    reader = User(name="Ada")
    page = card(asked_by(reader), reader)
    assert re.search(r'<p class="byline">\s*You\s*·', page)
    assert "Ada" not in page


def test_a_card_escapes_whatever_somebody_wrote():
    evil, escaped = """<i x='"'>&""", "&lt;i x=&#x27;&quot;&#x27;&gt;&amp;"
    asked = asked_by(User(name="Ada"), title=evil, description=evil, category=evil, urgency=evil)
    assert evil not in card(asked)
    assert card(asked).count(escaped) == 6


def test_only_an_open_request_shows_its_urgency():
    asked = asked_by(User(name="Ada"), urgency="urgent")
    assert 'class="card urgency-urgent"' in card(asked)
    asked.status = "completed"
    assert 'class="card"' in card(asked)
    assert "excerpt" not in card(asked)
