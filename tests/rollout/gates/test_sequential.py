"""The detector's promises, simulated with fixed seeds. What a simulation says is repeated in decision 0007."""

import math
import random

import pytest

from rollout.gates import sequential
from rollout.gates.sequential import MINIMUM, Detector, detect
from tests.faults.scale import FULL

# Tried so many times more often by `make faults`.
SHARE = 1 if FULL else 3

HEALTHY = 0.005


def draw_gap(rate: float, chance: random.Random) -> int:
    """Draw how many successes come before the next failure."""
    return int(math.log(1 - chance.random()) / math.log(1 - rate))


def run_healthy(operations: int, chance: random.Random) -> Detector:
    """Fold healthy operations, failure by failure."""
    detector = Detector()
    while True:
        gap = draw_gap(HEALTHY, chance)
        if detector.operations + gap >= operations:
            return detector.after_successes(operations - detector.operations)
        detector = detector.after_successes(gap).update(True)


def count_delays(rate: float, *, runs: int, healthy: int = 0) -> list[int]:
    """List after how many operations at this failure rate the detector tripped, sorted."""
    chance = random.Random(20261122)
    delays: list[int] = []
    while len(delays) < runs:
        detector = run_healthy(healthy, chance)
        if detector.tripped:
            continue
        while not detector.tripped:
            detector = detector.after_successes(draw_gap(rate, chance)).update(True)
        delays.append(detector.tripped_at - healthy)
    return sorted(delays)


def percentile_95(sorted_values: list[int]) -> int:
    return sorted_values[math.ceil(0.95 * len(sorted_values)) - 1]


def test_a_healthy_stage_hardly_ever_trips():
    chance, runs = random.Random(20261122), 20_000 // SHARE
    trips = sum(run_healthy(3_000, chance).tripped for _ in range(runs))
    assert trips / runs <= 0.001


def test_the_bound_on_false_trips_is_proven_not_only_simulated():
    """The mixture's expectation under health grows by 1 an operation, from which Doob's inequality follows."""
    for rate, value in zip(sequential.ALTERNATIVES, sequential.HEAD_START, strict=True):
        up, down = rate / sequential.HEALTHY, (1 - rate) / (1 - sequential.HEALTHY)
        expected = HEALTHY * (value + 1) * up + (1 - HEALTHY) * (value + 1) * down
        assert expected == pytest.approx(value + 1)
    assert sum(sequential.WEIGHTS) == pytest.approx(1)
    assert (3_000 + Detector().statistic) / Detector(operations=3_000).threshold <= 0.001 + 1e-12
    # Each doubling after that adds as much as its last operation against the threshold of its first.
    for operations in (6_000, 12_000, 96_000):
        assert (operations + Detector().statistic) / Detector(operations=operations // 2).threshold <= 0.002


def test_a_healthy_month_of_any_length_hardly_ever_trips():
    chance, runs = random.Random(20261122), 800 // SHARE
    assert sum(run_healthy(90_000, chance).tripped for _ in range(runs)) / runs <= 0.005


@pytest.mark.parametrize("healthy", [0, 1_000, 3_000])
@pytest.mark.parametrize(("rate", "within"), [(0.5, 16), (0.1, 124)])
def test_trouble_is_noticed_in_time_early_and_late_in_a_stage(rate, within, healthy):
    assert percentile_95(count_delays(rate, runs=6_000 // SHARE, healthy=healthy)) <= within


@pytest.mark.parametrize(("rate", "within"), [(0.5, 20), (0.1, 150)])
def test_failures_are_noticed_soon_even_after_a_healthy_month(rate, within):
    assert percentile_95(count_delays(rate, runs=300 // SHARE, healthy=90_000)) <= within


@pytest.mark.parametrize("healthy", [0, 1_000, 10_000])
def test_an_outage_is_noticed_within_six_operations(healthy):
    detector = Detector().after_successes(healthy)
    while not detector.tripped:
        detector = detector.update(True)
    assert detector.operations - healthy <= 6


def test_the_fold_in_steps_and_the_fold_at_once_are_the_same():
    chance = random.Random(7)
    for _ in range(200):
        rate = chance.choice([0.01, 0.2, 0.6])
        outcomes = [chance.random() < rate for _ in range(chance.randint(0, 80))]
        stepwise = Detector()
        for failed in outcomes:
            stepwise = stepwise.update(failed)
        at_once = detect(operations=len(outcomes), failed=[n for n, failed in enumerate(outcomes, start=1) if failed])
        assert (at_once.operations, at_once.failures, at_once.tripped_at) == (
            stepwise.operations, stepwise.failures, stepwise.tripped_at,
        )  # fmt: skip
        assert at_once.statistics == pytest.approx(stepwise.statistics)


def test_fewer_than_five_operations_never_trip():
    detector = Detector()
    for _ in range(MINIMUM - 1):
        detector = detector.update(True)
        assert not detector.tripped
    assert detector.update(True).tripped_at == MINIMUM


def test_a_single_failure_or_two_never_trip():
    for position in range(1, 40):
        assert not detect(operations=40, failed=[position]).tripped
        assert not detect(operations=41, failed=[position, position + 1]).tripped


def test_what_has_tripped_stays_tripped_and_goes_on_counting():
    tripped = detect(operations=8, failed=range(1, 9))
    later = tripped.after_successes(10_000).update(True)
    assert later.tripped_at == tripped.tripped_at == 5
    assert (later.operations, later.failures) == (10_009, 9)
    assert detect(operations=10_009, failed=[*range(1, 9), 10_009]) == later


def test_a_detector_is_a_value_that_no_update_changes():
    before = Detector()
    before.update(True)
    assert before == Detector()


def test_the_detector_computes_a_run_of_successes_in_one_step():
    """One by one, this many would not end."""
    detector = detect(operations=10**15, failed=range(500, 10**6, 1_000))
    assert (detector.operations, detector.failures) == (10**15, 1_000)
    assert not detector.tripped
