"""Each hot statement reads little more than it returns, whoever asks; `make bench` says the same of 1,000,000 messages."""

import os
from collections.abc import Iterator, Sequence

import pytest
from django.conf import settings

from benchmarks import plans, seed
from benchmarks.explain import explain
from benchmarks.goals import PLANS
from carecollective.postgres.dsn import connect, connection_url
from carecollective.postgres.roles import Connection
from tests import databases

SIZE = seed.Size(10_000, long_thread=2_000, many=2_000)


@pytest.fixture(scope="module")
def filled(template_database: str) -> Iterator[Connection]:
    name = f"test_{os.getpid()}_plans"
    databases.recreate(settings.DATA_DIR, name, template_database)
    with connect(databases.superuser_url(settings.DATA_DIR, name), autocommit=True) as superuser:
        seed.fill(superuser, SIZE, password="!", fresh=2_000)
    with connect(connection_url(settings.DATA_DIR, "web", name)) as web:
        yield web
    databases.drop(settings.DATA_DIR, name)


@pytest.fixture(scope="module")
def found(filled: Connection) -> Sequence[plans.Finding]:
    return list(plans.find(filled))


def test_hot_statements_read_little_more_than_they_return(found):
    most, _aim = PLANS["rows read for each that is needed"]
    assert {one.what: (one.read, one.needed) for one in found if one.ratio > most} == {}
    assert {one.needed > 50 for one in found} == {True, False}, "the statements returned nothing"


def test_hot_statements_read_no_large_table_whole(found):
    assert {one.what: scans for one in found if (scans := one.explained.sequential_scans)} == {}


def test_an_inbox_of_2000_reads_as_much_as_one_of_20(found):
    read = {one.what: one.read for one in found if one.what.startswith("inbox")}
    few, many = (max(rows for what, rows in read.items() if f"of {person}" in what) for person in ("few", "many"))
    assert many <= few * 1.3


def test_a_table_read_from_end_to_end_is_found(filled):
    with filled.transaction(force_rollback=True):
        found = explain(
            filled, "SELECT count(*) FROM help_requests WHERE title = %(title)s", {"title": "?"}, is_generic=True
        )
        assert found.sequential_scans == ["help_requests"]
        assert found.rows_read > SIZE.conversations
