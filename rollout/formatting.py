"""Formats numbers for people. A share never looks better than it is."""

import math

_STEPS = 10_000  # two decimals of a percent
_ROUNDING_ERROR = 1e-9  # of a share as a binary number


def percent(share: float, *, up: bool = False) -> str:
    """Format a share as a percentage, rounded down to two decimals; with `up`, rounded up, where small is good."""
    steps = math.ceil(share * _STEPS - _ROUNDING_ERROR) if up else math.floor(share * _STEPS + _ROUNDING_ERROR)
    return f"{steps / 100:.2f}".rstrip("0").rstrip(".") + "%"


def milliseconds(value: float) -> str:
    return f"{value:,.0f} ms"


def count(number: int, one: str, many: str = "") -> str:
    """Format a number with its noun: 1 start, 47 starts."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
