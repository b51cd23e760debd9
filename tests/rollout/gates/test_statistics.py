import math
from itertools import pairwise

import mpmath  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.gates.statistics import (
    at_least,
    chi_square,
    chi_square_p_value,
    lower_bound,
    proves_at_least,
    quantile_rank,
    trials_needed,
    upper_bound,
)


@pytest.mark.parametrize(
    ("successes", "trials", "confidence", "bound"),
    [
        # With no failure the bound is the n-th root of 1 - confidence, to be checked by hand.
        (59, 59, 0.95, 0.05 ** (1 / 59)),
        (299, 299, 0.95, 0.05 ** (1 / 299)),
        (10, 10, 0.99, 0.01 ** (1 / 10)),
        # With one success it is 1 minus the n-th root of the confidence.
        (1, 20, 0.95, 1 - 0.95 ** (1 / 20)),
        # Published tables of Clopper and Pearson's 90% two-sided limits, that is 95% on each side.
        (5, 10, 0.95, 0.2224),
        (9, 10, 0.95, 0.6058),
        (8, 10, 0.95, 0.4931),
        (0, 10, 0.95, 0.0),
    ],
)
def test_the_lower_bound_is_the_published_one(successes, trials, confidence, bound):
    assert lower_bound(successes=successes, trials=trials, confidence=confidence) == pytest.approx(bound, abs=5e-5)


def test_the_rule_of_three_holds_for_no_failure():
    assert upper_bound(successes=0, trials=300) == pytest.approx(3 / 300, rel=0.01)


def test_nothing_of_nothing_is_bounded_by_nothing():
    assert lower_bound(successes=0, trials=0) == 0
    assert upper_bound(successes=0, trials=0) == 1
    assert not proves_at_least(successes=0, trials=0, share=0.01)


@pytest.mark.parametrize(("share", "needed"), [(0.95, (59, 93, 124)), (0.97, (99, 157, 208)), (0.99, (299, 473, 628))])
def test_the_trials_needed_are_those_of_the_tables(share, needed):
    """The sample sizes of Wilks and of attribute sampling: 59/93/124 for 95 of 95, 299/473/628 for 99 of 95."""
    assert tuple(trials_needed(failures=failures, share=share) for failures in range(3)) == needed


@pytest.mark.parametrize("failures", [0, 1, 7, 40])
def test_one_trial_fewer_would_not_do(failures):
    needed = trials_needed(failures=failures, share=0.97)
    assert lower_bound(successes=needed - failures, trials=needed) >= 0.97
    assert lower_bound(successes=needed - 1 - failures, trials=needed - 1) < 0.97


def test_the_shortcut_and_the_bound_say_the_same():
    for trials in range(1, 90):
        for successes in range(trials + 1):
            proven = proves_at_least(successes=successes, trials=trials, share=0.9)
            assert proven == (lower_bound(successes=successes, trials=trials) >= 0.9)


@given(trials=st.integers(1, 3000), failed=st.floats(0, 1), confidence=st.sampled_from([0.9, 0.95, 0.99, 0.999]))
@settings(max_examples=60, deadline=None)
def test_the_bounds_are_where_the_binomial_tail_equals_the_risk(trials, failed, confidence):
    successes = trials - round(failed * trials)
    bound = lower_bound(successes=successes, trials=trials, confidence=confidence)
    if successes:
        assert at_least(successes, trials, bound) == pytest.approx(1 - confidence, abs=1e-8)
    assert bound <= successes / trials <= upper_bound(successes=successes, trials=trials, confidence=confidence)


def test_the_bounds_cover_as_often_as_they_say():
    """Over every outcome of 60 trials at 96%, weighed by its exact chance: the bound is above the truth in 5% at most."""
    chances = [math.comb(60, k) * 0.96**k * 0.04 ** (60 - k) for k in range(61)]
    too_high = sum(chance for k, chance in enumerate(chances) if lower_bound(successes=k, trials=60) > 0.96)
    too_low = sum(chance for k, chance in enumerate(chances) if upper_bound(successes=k, trials=60) < 0.96)
    assert too_high <= 0.05
    assert too_low <= 0.05


@given(a=st.integers(1, 3000), b=st.integers(1, 300), place=st.floats(-4, 4))
@settings(max_examples=60, deadline=None)
def test_the_binomial_tail_agrees_with_an_independent_library(a, b, place):
    spread = math.sqrt(a * b / ((a + b) ** 2 * (a + b + 1)))
    x = min(max(a / (a + b) + place * spread, 1e-6), 1 - 1e-9)
    assert at_least(a, a + b - 1, x) == pytest.approx(float(mpmath.betainc(a, b, 0, x, regularized=True)), abs=1e-9)


@pytest.mark.parametrize(
    ("statistic", "p_value"),
    [
        (3.841458820694124, 0.05),
        (6.634896601021213, 0.01),
        (10.827566170662733, 0.001),
        (0.0, 1.0),
        (0.4549364231195724, 0.5),
    ],
)
def test_chi_square_is_the_published_one(statistic, p_value):
    assert chi_square_p_value(statistic) == pytest.approx(p_value, rel=1e-9)


@pytest.mark.parametrize("statistic", [0.001, 1.0, 9.0, 11.0, 60.0, 700.0])
def test_chi_square_agrees_with_an_independent_library(statistic):
    independent = float(mpmath.gammainc(1 / 2, statistic / 2, regularized=True))
    assert chi_square_p_value(statistic) == pytest.approx(independent, rel=1e-9)


def test_pearsons_statistic_is_that_of_mendels_peas():
    """705 purple flowers and 224 white ones, where 3 to 1 are expected."""
    statistic, p_value = chi_square(observed=(705, 224), expected=(696.75, 232.25))
    assert statistic == pytest.approx(0.3907, abs=5e-5)
    assert p_value == pytest.approx(0.5319, abs=5e-5)


def test_a_quantile_is_bounded_from_59_calls_on():
    """Wilks: the largest of 59 exceeds the 95th percentile with 95% confidence, the largest of 58 does not."""
    assert quantile_rank(trials=58, quantile=0.95) is None
    assert quantile_rank(trials=59, quantile=0.95) == 59
    assert quantile_rank(trials=93, quantile=0.95) == 92
    ranks = [(quantile_rank(trials=n, quantile=0.95) or 0) / n for n in (100, 1_000, 10_000, 100_000)]
    assert all(before > after > 0.95 for before, after in pairwise(ranks))


@pytest.mark.parametrize(("successes", "trials"), [(2, 1), (-1, 3)])
def test_more_successes_than_trials_are_a_mistake(successes, trials):
    with pytest.raises(ValueError, match="between 0 and all"):
        lower_bound(successes=successes, trials=trials)


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_a_confidence_that_is_none_is_a_mistake(confidence):
    with pytest.raises(ValueError, match="confidence"):
        proves_at_least(successes=1, trials=1, share=0.5, confidence=confidence)
