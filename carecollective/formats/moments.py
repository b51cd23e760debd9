"""Times as staff read them: always in UTC and in one form. The staff pages' script adds the local time."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

Unit = Literal["minute", "second", "millisecond"]

MINUTE = timedelta(minutes=1)
_IN_WORDS = re.compile(r"(\d{1,2} [A-Z][a-z]{2} \d{4}, \d{2}:\d{2}(?::\d{2}(?:\.\d{3})?)? UTC)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIMESPECS: Mapping[Unit, str] = {"minute": "minutes", "second": "seconds", "millisecond": "milliseconds"}
_FORMS = ("%d %b %Y, %H:%M UTC", "%d %b %Y, %H:%M:%S UTC", "%d %b %Y, %H:%M:%S.%f UTC")


def moment(at: datetime, to: Unit = "minute", *, up: bool = False) -> str:
    """Return a time as text in UTC, rounded down; with `up`, rounded up to the minute, for "possible from"."""
    at = at.astimezone(UTC)
    if up and (at.second or at.microsecond):
        at += MINUTE
    clock = at.isoformat(timespec=_TIMESPECS[to])[11:].removesuffix("+00:00")
    return f"{date_of(at.isoformat()[:10])}, {clock} UTC"


@lru_cache(maxsize=1024)
def date_of(iso: str) -> str:
    """Return an ISO date as `moment` writes it. A page names few days, each of them many times."""
    year, month, day = iso.split("-")
    return f"{int(day)} {_MONTHS[int(month) - 1]} {int(year)}"


def as_time(at: datetime | None, to: Unit = "second") -> SafeString:
    """Return the time as an HTML element that the staff pages' script finds. Legacy rows may have none."""
    if at is None:
        return SafeString("no date")
    return format_html('<time datetime="{}" data-local>{}</time>', at.astimezone(UTC).isoformat(), moment(at, to))


def mark_times(words: object) -> SafeString:
    """Return text as HTML in which each time is an element that the script finds."""
    parts = _IN_WORDS.split(str(words))
    return format_html_join("", "{}", ((_as_written(part) if place % 2 else part,) for place, part in enumerate(parts)))


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago a time was, in words."""
    return "just now" if now - at < MINUTE else f"{timesince(at, now)} ago"


def lasting(since: datetime, now: datetime) -> str:
    """Return how long something has lasted, in words."""
    return "just begun" if now - since < MINUTE else f"for {timesince(since, now)}"


def _as_written(text: str) -> str:
    for form in _FORMS:
        try:
            at = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return format_html('<time datetime="{}" data-local>{}</time>', at.isoformat(), text)
    return text
