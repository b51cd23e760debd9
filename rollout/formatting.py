"""Figures as people read them. A share is never worded as better than it is."""

import math

_STEPS = 10_000  # two decimals of a percent
_GRAIN = 1e-9  # what a share loses by being kept in binary


def percent(share: float, *, up: bool = False) -> str:
    """Format a share as a percentage: rounded down to two decimals, or up where small is good."""
    steps = math.ceil(share * _STEPS - _GRAIN) if up else math.floor(share * _STEPS + _GRAIN)
    return f"{steps / 100:.2f}".rstrip("0").rstrip(".") + "%"


def milliseconds(value: float) -> str:
    return f"{value:,.0f} ms"


def count(number: int, one: str, many: str = "") -> str:
    """Word a number with its noun: 1 start, 47 starts."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
