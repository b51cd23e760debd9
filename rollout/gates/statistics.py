"""Exact confidence bounds on a proportion (Clopper-Pearson), and the two-cell chi-square test.

The regularized incomplete beta function is the continued fraction 26.5.8 of Abramowitz and Stegun, summed by Lentz's
method: the guard asks for bounds every few seconds, and needs no further library for it.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator

_TINY = 1e-300
_PRECISION = 1e-15
_LONGEST = 100_000
_HALVINGS = 60


def lower_bound(*, successes: int, trials: int, confidence: float = 0.95) -> float:
    """Return the one-sided lower confidence bound of the success rate; 0 when there was no trial."""
    _check(successes, trials, confidence)
    if successes == 0:
        return 0.0
    return _solve(lambda share: at_least(successes, trials, share) > 1 - confidence)


def upper_bound(*, successes: int, trials: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper confidence bound of the success rate; 1 when there was no trial."""
    _check(successes, trials, confidence)
    return 1 - lower_bound(successes=trials - successes, trials=trials, confidence=confidence)


def proves_at_least(*, successes: int, trials: int, share: float, confidence: float = 0.95) -> bool:
    """Tell whether the lower bound reaches `share`; cheaper than computing the bound."""
    _check(successes, trials, confidence)
    return successes > 0 and at_least(successes, trials, share) <= 1 - confidence


def trials_needed(*, failures: int, share: float, confidence: float = 0.95) -> int:
    """Return how many trials, with these failures among them, prove that `share` of all succeed."""
    if not 0 < share < 1:
        raise ValueError("A share is proven only between 0 and 1.")

    def proves(trials: int) -> bool:
        return proves_at_least(successes=trials - failures, trials=trials, share=share, confidence=confidence)

    enough = failures + 1
    while not proves(enough):
        enough *= 2
    candidates = range(failures + 1, enough + 1)
    return candidates[bisect_left(candidates, True, key=proves)]


def quantile_rank(*, trials: int, quantile: float, confidence: float = 0.95) -> int | None:
    """Return the rank, from 1, of the sorted trial that is the quantile's upper bound.

    None of too few trials. It holds for any distribution.
    """
    # The quantile lies above the trial of rank r exactly when r or more of the trials lie below it.
    ranks = range(1, trials + 1)
    place = bisect_left(ranks, True, key=lambda rank: at_least(rank, trials, quantile) <= 1 - confidence)
    return ranks[place] if place < trials else None


def at_least(successes: int, trials: int, share: float) -> float:
    """Return the probability of at least `successes`, when each trial succeeds with probability `share`."""
    if successes <= 0:
        return 1.0
    if successes > trials:
        return 0.0
    return regularized_beta(successes, trials - successes + 1, share)


def chi_square(*, observed: tuple[float, float], expected: tuple[float, float]) -> tuple[float, float]:
    """Return Pearson's statistic of two cells and its p-value, with one degree of freedom."""
    statistic = sum((seen - due) ** 2 / due for seen, due in zip(observed, expected, strict=True))
    return statistic, chi_square_p_value(statistic)


def chi_square_p_value(statistic: float) -> float:
    """Return the probability that chance gives a larger statistic, with one degree of freedom."""
    return math.erfc(math.sqrt(statistic / 2))


def regularized_beta(a: float, b: float, x: float) -> float:
    """Return I_x(a, b) for positive a and b, with about 12 digits."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    # The fraction converges fast only on its own side of the distribution's mean.
    if x < (a + 1) / (a + b + 2):
        return front / (a * _beta_fraction(a, b, x))
    return 1 - front / (b * _beta_fraction(b, a, 1 - x))


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Evaluate the continued fraction 1 + n1 / (1 + n2 / (1 + …)) of the incomplete beta function."""
    value = numerator = 1.0
    denominator = 0.0
    for term in _beta_terms(a, b, x):
        denominator = 1 / ((1 + term * denominator) or _TINY)
        numerator = (1 + term / numerator) or _TINY
        step = numerator * denominator
        value *= step
        if abs(step - 1) < _PRECISION:
            return value
    raise ArithmeticError("The fraction did not converge.")


def _beta_terms(a: float, b: float, x: float) -> Iterator[float]:
    for m in range(_LONGEST):
        if m:
            yield m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        yield -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))


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
