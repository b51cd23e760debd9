import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from carecollective.core.errors import ValidationRefused
from carecollective.core.pagination import Cursor, paginate

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    at: datetime
    id: UUID


def rows(count, *, same_moment_for=1):
    """Rows of which every `same_moment_for` share their moment, newest first."""
    made = [Row(NOON - timedelta(seconds=number // same_moment_for), uuid4()) for number in range(count)]
    return sorted(made, key=lambda row: (row.at, row.id), reverse=True)


def reader_of(everything):
    def fetch(cursor, limit):
        if cursor is None:
            return everything[:limit]
        place = (cursor.at, cursor.id)
        if cursor.newer:
            return [row for row in reversed(everything) if (row.at, row.id) > place][:limit]
        return [row for row in everything if (row.at, row.id) < place][:limit]

    def page(cursor=None, size=3):
        return paginate(fetch, cursor=cursor, size=size, key=lambda row: (row.at, row.id))

    return page


@pytest.mark.parametrize("count", [0, 1, 3, 4, 6, 7, 20])
@pytest.mark.parametrize("together", [1, 2, 20])
def test_reading_on_and_back_again_shows_every_row_once(count, together):
    everything = rows(count, same_moment_for=together)
    page = reader_of(everything)
    current, forwards = page(), []
    while True:
        forwards.append(list(current.rows))
        if current.next is None:
            break
        current = page(current.next)
    assert [row for part in forwards for row in part] == everything

    backwards = [list(current.rows)]
    while current.previous is not None:
        current = page(current.previous)
        backwards.insert(0, list(current.rows))
    assert [row for part in backwards for row in part][-len(everything) :] == everything or not everything


def test_the_first_page_has_nothing_before_it():
    page = reader_of(rows(10))
    first = page()
    assert first.previous is None
    assert page(first.next).previous is not None


def test_going_back_to_the_first_page_leads_nowhere_newer():
    page = reader_of(rows(6))
    again = page(page(page().next).previous)
    assert again.rows == page().rows
    assert again.previous is None
    assert again.next is not None


def test_a_row_that_arrives_meanwhile_moves_nothing():
    everything = rows(9)
    first = reader_of(everything)()
    second = reader_of([Row(NOON + timedelta(hours=1), uuid4()), *everything])(first.next)
    assert second.rows == everything[3:6]


def test_beyond_the_last_row_there_is_an_empty_page():
    everything = rows(3)
    beyond = Cursor(everything[-1].at, everything[-1].id)
    assert reader_of(everything)(beyond) == type(reader_of(everything)())([], None, None)


@pytest.mark.parametrize("newer", [True, False])
def test_a_cursor_survives_being_text(newer):
    cursor = Cursor(NOON.replace(microsecond=123456), uuid4(), newer)
    text = str(cursor)
    assert Cursor.parse(text) == cursor
    assert text.isascii()
    assert not set(text) & set("=+/& ?#")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é",
        "%%%",
        "A" * 5000,
        *(
            base64.urlsafe_b64encode(raw).decode()
            for raw in (
                b"{}",
                b"[]",
                b"5",
                b'"text"',
                b"null",
                b"[1,2,3]",
                b'["2026-05-01T12:00:00","0",false]',
                b'["2026-05-01T12:00:00","00000000-0000-0000-0000-000000000000",false]',
                b'["yesterday","00000000-0000-0000-0000-000000000000",false]',
                b"[" * 20_000,
                b"\xff\xfe",
            )
        ),
    ],
)
def test_a_cursor_that_was_not_given_out_is_refused(text):
    with pytest.raises(ValidationRefused) as refused:
        Cursor.parse(text)
    assert list(refused.value.fields) == ["cursor"]
