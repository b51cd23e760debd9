"""The tags of a request: what kind, how soon, in which state; unknown legacy values as they are, escaped."""

import re

import pytest

from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.templatetags.help_requests import request_tags


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
