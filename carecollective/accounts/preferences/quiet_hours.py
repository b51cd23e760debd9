"""Quiet hours, by the clock where the member lives."""

from collections.abc import Sequence
from datetime import datetime, time
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

UTC = "UTC"
# Names that follow no place: fixed offsets, and old ways to spell a zone.
_NO_PLACES = ("Etc/", "SystemV/", "US/", "posix/", "right/")


@cache
def known_zones() -> frozenset[str]:
    """Return every name of a time zone that can be stored."""
    return frozenset(available_timezones())


@cache
def zones_to_choose() -> Sequence[str]:
    """Return the time zones that the account page lists: places, in the order of their names."""
    return sorted(name for name in known_zones() if "/" in name and not name.startswith(_NO_PLACES))


def local_time(now: datetime, zone: str) -> datetime:
    """Return the wall clock in a time zone. An unknown or missing zone counts as UTC."""
    return now.astimezone(ZoneInfo(zone if zone in known_zones() else UTC))


def is_quiet(now: datetime, *, zone: str, start: time | None, end: time | None) -> bool:
    """Tell whether a moment lies in the quiet hours, which may reach over midnight."""
    if start is None or end is None:
        return False
    here = local_time(now, zone).time()
    return start <= here < end if start <= end else here >= start or here < end
