"""A search or a filter that finds nothing reads an index, and not all requests."""

import json

import pytest
from django.db import connection

from benchmarks.explain import rows_of
from carecollective.help_requests.selectors import RequestFilters, list_requests, matching
from tests.factories import HelpRequestFactory, UserFactory

REQUESTS = 5_000
FILL = """
INSERT INTO help_requests (id, user_id, title, description, category, urgency, status, created_at, updated_at)
SELECT gen_random_uuid(), %s, 'Request ' || n, 'Groceries, please.', 'other', 'normal', 'open', at, at
FROM (SELECT n, now() - n * interval '1 minute' AS at FROM generate_series(1, %s) n) made
"""
FINDS_NOTHING = (
    {"q": "xylophone"},
    {"q": "zq"},
    {"q": "request xylophone"},
    {"category": "household-yard"},
    {"urgency": "critical"},
    {"status": "cancelled"},
    {"status": "other"},
    {"urgency": "other"},
    {"status": "open", "urgency": "other"},
    {"status": "open", "urgency": "critical"},
    {"category": "other", "q": "xylophone"},
)


@pytest.fixture
def many_requests(db, beyond_policies):
    owner = UserFactory.create()
    with beyond_policies() as superuser:
        superuser.execute(FILL, [owner.pk, REQUESTS])
        superuser.execute("ANALYZE help_requests")


def rows_read(filters):
    page = matching(RequestFilters.parse(filters)).order_by("-created_at", "-pk")[:21]
    (plan,) = json.loads(page.explain(analyze=True, format="json"))
    return rows_of(plan["Plan"], "help_requests")


def test_what_finds_nothing_reads_an_index(many_requests):
    assert {str(filters): rows for filters in FINDS_NOTHING if (rows := rows_read(filters)) > 21} == {}


def test_what_is_other_is_found_by_index(many_requests, beyond_policies):
    with beyond_policies() as superuser:
        superuser.execute(
            "UPDATE help_requests SET category = 'household-yard', urgency = NULL WHERE title = 'Request 77'"
        )
        superuser.execute("UPDATE help_requests SET category = 'household-yard' WHERE title <> 'Request 77'")
        superuser.execute("ANALYZE help_requests")
    assert rows_read({"category": "other"}) == 0
    assert rows_read({"urgency": "other"}) == 1


def test_what_many_have_is_read_no_further_than_the_page(many_requests):
    assert max(rows_read(filters) for filters in ({"q": "groceries"}, {"category": "other"}, {})) < 100


@pytest.mark.parametrize("word", ["é", "Né", "nee", "ceri", "CÉRIES", "cerı", "s,", "please.", "\u0301", "x"])
def test_the_index_finds_what_the_texts_contain(db, word):
    titles = ["Née Groceries", "née", "NE", "e", "Xylophone"]
    for title in titles:
        HelpRequestFactory(title=title, description="Groceries, please." if title == "e" else None)
    with_index = matching(RequestFilters(q=word))
    without = matching(RequestFilters())
    folded = [request.pk for request in without if contains(request, word)]
    assert sorted(request.pk for request in with_index) == sorted(folded)
    assert {request.pk for request in list_requests(filters=RequestFilters(q=word)).rows} == set(folded)


def contains(request, word):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bool_or(position(public.fold_for_search(%s) IN public.fold_for_search(words)) > 0)"
            " FROM unnest(ARRAY[%s, %s]) words",
            [word, request.title, request.description],
        )
        return cursor.fetchone()[0]
