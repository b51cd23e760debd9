"""Exact bounds on a share, and the chi-square test. Written out here because a guard asks them every few seconds.

The regularized incomplete beta and gamma functions follow the continued fractions and the series of Abramowitz and
Stegun (6.5.29, 6.5.31, 26.5.8), summed by Lentz's method.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

_TINY = 1e-300
_PRECISION = 1e-15
_LONGEST = 100_000
_HALVINGS = 60


def lower_bound(*, successes: int, trials: int, confidence: float = 0.95) -> float:
    """Return the share that the true one exceeds with this confidence (Clopper and Pearson, one side).

    No trial says nothing: 0 of 0 is bounded by 0.
    """
    _check(successes, trials, confidence)
    if successes == 0:
        return 0.0
    return _solve(lambda share: at_least(successes, trials, share) > 1 - confidence)


def upper_bound(*, successes: int, trials: int, confidence: float = 0.95) -> float:
    """Return the share that the true one stays below with this confidence; 1 when there was no trial."""
    _check(successes, trials, confidence)
    return 1 - lower_bound(successes=trials - successes, trials=trials, confidence=confidence)


def proves_at_least(*, successes: int, trials: int, share: float, confidence: float = 0.95) -> bool:
    """Tell whether the lower bound reaches `share`, without searching for the bound."""
    _check(successes, trials, confidence)
    return successes > 0 and at_least(successes, trials, share) <= 1 - confidence


def trials_needed(*, failures: int, share: float, confidence: float = 0.95) -> int:
    """Return how many trials with no more failures than these prove that `share` of them succeed."""
    if not 0 < share < 1:
        raise ValueError("A share is proven only between 0 and 1.")
    enough = failures + 1
    while not proves_at_least(successes=enough - failures, trials=enough, share=share, confidence=confidence):
        enough *= 2
    too_few = failures
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        proven = proves_at_least(successes=middle - failures, trials=middle, share=share, confidence=confidence)
        too_few, enough = (too_few, middle) if proven else (middle, enough)
    return enough


def quantile_rank(*, trials: int, quantile: float, confidence: float = 0.95) -> int | None:
    """Return which of the sorted trials the true quantile does not exceed with this confidence; None of too few.

    Counts from 1, and asks nothing of how the trials are distributed.
    """
    # The quantile lies above the trial of rank r exactly when r or more of the trials lie below it.
    ranks = range(1, trials + 1)
    place = bisect_left(ranks, True, key=lambda rank: at_least(rank, trials, quantile) <= 1 - confidence)
    return ranks[place] if place < trials else None


def at_least(successes: int, trials: int, share: float) -> float:
    """Return the probability of so many successes or more, when each trial succeeds with probability `share`."""
    if successes <= 0:
        return 1.0
    if successes > trials:
        return 0.0
    return regularized_beta(successes, trials - successes + 1, share)


def chi_square(*, observed: Sequence[float], expected: Sequence[float]) -> tuple[float, float]:
    """Return Pearson's statistic and its p-value, with one degree of freedom less than there are cells."""
    if len(observed) != len(expected) or len(observed) < 2:
        raise ValueError("A chi-square test compares two cells or more.")
    statistic = sum((seen - due) ** 2 / due for seen, due in zip(observed, expected, strict=True))
    return statistic, chi_square_survival(statistic=statistic, degrees=len(observed) - 1)


def chi_square_survival(*, statistic: float, degrees: int) -> float:
    """Return the probability that chance alone gives a chi-square statistic above this one."""
    if degrees < 1:
        raise ValueError("A chi-square distribution has one degree of freedom or more.")
    if statistic <= 0:
        return 1.0
    return _upper_gamma(degrees / 2, statistic / 2)


def regularized_beta(a: float, b: float, x: float) -> float:
    """Return I_x(a, b) for positive a and b, with about 12 digits."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    # The fraction converges fast only on its own side of the distribution's mean.
    if x < (a + 1) / (a + b + 2):
        return front / (a * _continued_fraction(1.0, _beta_terms(a, b, x)))
    return 1 - front / (b * _continued_fraction(1.0, _beta_terms(b, a, 1 - x)))


def _upper_gamma(a: float, x: float) -> float:
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x >= a + 1:
        return front / _continued_fraction(x + 1 - a, _gamma_terms(a, x))
    term = total = 1 / a
    for n in range(1, _LONGEST):
        term *= x / (a + n)
        total += term
        if term < total * _PRECISION:
            return 1 - front * total
    raise ArithmeticError("The series did not converge.")


def _beta_terms(a: float, b: float, x: float) -> Iterator[tuple[float, float]]:
    for m in range(_LONGEST):
        if m:
            yield m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), 1.0
        yield -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), 1.0


def _gamma_terms(a: float, x: float) -> Iterator[tuple[float, float]]:
    for n in range(1, _LONGEST):
        yield n * (a - n), x + 2 * n + 1 - a


def _continued_fraction(first: float, terms: Iterator[tuple[float, float]]) -> float:
    """Evaluate first + n1 / (d1 + n2 / (d2 + …)) from pairs of numerators and denominators."""
    value = numerator = first or _TINY
    denominator = 0.0
    for over, under in terms:
        denominator = 1 / ((under + over * denominator) or _TINY)
        numerator = (under + over / numerator) or _TINY
        step = numerator * denominator
        value *= step
        if abs(step - 1) < _PRECISION:
            return value
    raise ArithmeticError("The fraction did not converge.")


def _solve(too_high: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if too_high(middle) else (middle, high)
    return low


def _check(successes: int, trials: int, confidence: float) -> None:
    if not 0 <= successes <= trials:
        raise ValueError("There are between 0 and all successes.")
    if not 0 < confidence < 1:
        raise ValueError("A confidence lies between 0 and 1.")
