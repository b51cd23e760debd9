"""Exact confidence bounds on a proportion (Clopper-Pearson), and the two-cell chi-square test."""

import math
from bisect import bisect_left

_PRECISION = 1e-16
_HALVINGS = 60


def lower_bound(*, successes: int, trials: int, confidence: float = 0.95) -> float:
    """Return the one-sided lower confidence bound of the success rate; 0 when there was no trial."""
    _check(successes, trials, confidence)
    if successes == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        too_high = at_least(successes, trials, middle) > 1 - confidence
        low, high = (low, middle) if too_high else (middle, high)
    return low


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
    # Sum the tail away from the mean: its terms only shrink.
    if successes > trials * share:
        return _sum_tail(successes, trials, share)
    return 1 - _sum_tail(trials - successes + 1, trials, 1 - share)


def _sum_tail(successes: int, trials: int, share: float) -> float:
    """Sum the binomial probabilities from `successes`, which are above the mean, until they no longer count."""
    if share <= 0:
        return 0.0
    failures = trials - successes
    choices = math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(failures + 1)
    term = math.exp(choices + successes * math.log(share) + failures * math.log1p(-share))
    total = 0.0
    while term > total * _PRECISION:
        total += term
        term *= failures / (successes + 1) * share / (1 - share)
        successes, failures = successes + 1, failures - 1
    return total


def chi_square(*, observed: tuple[float, float], expected: tuple[float, float]) -> tuple[float, float]:
    """Return Pearson's statistic of two cells and its p-value, with one degree of freedom."""
    statistic = sum((seen - due) ** 2 / due for seen, due in zip(observed, expected, strict=True))
    return statistic, chi_square_p_value(statistic)


def chi_square_p_value(statistic: float) -> float:
    """Return the probability that chance gives a larger statistic, with one degree of freedom."""
    return math.erfc(math.sqrt(statistic / 2))


def _check(successes: int, trials: int, confidence: float) -> None:
    if not 0 <= successes <= trials:
        raise ValueError("There are between 0 and all successes.")
    if not 0 < confidence < 1:
        raise ValueError("A confidence lies between 0 and 1.")
