"""The parts of a request in a list: what kind, how soon, in which state; unknown legacy values as they are, escaped."""

import re

import pytest

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.templatetags.help_requests import request_owner, request_tags


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


@pytest.mark.parametrize(
    ("name", "location", "expected"),
    [
        ("Ada Lovelace", "Springfield", "Ada, Springfield"),
        ("Ada", "", "Ada"),
        ("Ada", None, "Ada"),
        ("<b>Ada", '"<b>"', "&lt;b&gt;Ada, &quot;&lt;b&gt;&quot;"),
    ],
)
def test_a_list_names_the_owner_and_the_place(name, location, expected):
    asked = HelpRequest(user=User(name=name, location=location))
    assert request_owner(asked, None) == request_owner(asked, User()) == expected


def test_a_reader_is_told_which_requests_are_their_own():
    reader = User()
    assert request_owner(HelpRequest(user=reader), reader) == "You"
