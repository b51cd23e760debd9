"""A sequential test of failures, read after every operation: it stops a bad stage early and almost never a healthy one.

A mixture of Shiryaev-Roberts statistics. Each weighs one failure rate against the healthy one as if the trouble could
have begun at any operation so far, so that a long healthy past does not slow it down; the head start stands for the
past that a stage just begun does not have. While operations are healthy, the mixture less the number of operations is
a martingale, so by Doob's inequality it reaches THRESHOLD within n operations with a probability of at most
(n + head start) / THRESHOLD. Beyond HORIZON the threshold grows with the operations, so that a stage that lasts for
months does not trip by its mere length. docs/decisions/0007 has the figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

HEALTHY = 0.005
ALTERNATIVES = (0.07, 0.4)
WEIGHTS = (0.8, 0.2)
HEAD_START = (30.0, 1.0)
MINIMUM = 5
# At most one healthy stage in a thousand trips within 3,000 operations.
FALSE_TRIPS, HORIZON = 0.001, 3_000
THRESHOLD = (HORIZON + sum(w * r for w, r in zip(WEIGHTS, HEAD_START, strict=True))) / FALSE_TRIPS

_FAILURE = tuple(rate / HEALTHY for rate in ALTERNATIVES)
_SUCCESS = tuple((1 - rate) / (1 - HEALTHY) for rate in ALTERNATIVES)


@dataclass(frozen=True, slots=True)
class Detector:
    """The test's state after the operations so far. A stage begins with `Detector()`.

    Once it has tripped it stays tripped, and only the counts go on.
    """

    operations: int = 0
    failures: int = 0
    statistics: tuple[float, ...] = HEAD_START
    tripped_at: int | None = None  # the number of the operation at which it tripped

    @property
    def tripped(self) -> bool:
        return self.tripped_at is not None

    @property
    def statistic(self) -> float:
        """The mixture of the statistics; at `threshold` the test trips."""
        return sum(weight * value for weight, value in zip(WEIGHTS, self.statistics, strict=True))

    @property
    def threshold(self) -> float:
        return THRESHOLD * max(1.0, self.operations / HORIZON)

    def update(self, failed: bool) -> "Detector":
        """Return the detector after one more operation."""
        counted = replace(self, operations=self.operations + 1, failures=self.failures + failed)
        if self.tripped:
            return counted
        factors = _FAILURE if failed else _SUCCESS
        statistics = tuple((value + 1) * factor for value, factor in zip(self.statistics, factors, strict=True))
        return replace(counted, statistics=statistics)._judged()

    def after_successes(self, count: int) -> "Detector":
        """Return the detector after `count` successes, computed in one step."""
        detector = self
        while count and not detector.tripped and detector.operations < MINIMUM:
            detector, count = detector.update(False), count - 1
        counted = replace(detector, operations=detector.operations + count)
        if counted.tripped or not count:
            return counted
        # The sum of a geometric series; a success alone never brings a statistic up to the threshold.
        statistics = tuple(
            value * factor**count + factor * (1 - factor**count) / (1 - factor)
            for value, factor in zip(detector.statistics, _SUCCESS, strict=True)
        )
        return replace(counted, statistics=statistics)

    def _judged(self) -> "Detector":
        if self.operations < MINIMUM or self.statistic < self.threshold:
            return self
        return replace(self, tripped_at=self.operations)


def detect(*, operations: int, failed: Sequence[int]) -> Detector:
    """Return the detector after a stage's operations. They are numbered from 1 in time; `failed` lists the failures."""
    detector = Detector()
    for number in failed:
        detector = detector.after_successes(number - 1 - detector.operations).update(True)
        if detector.tripped:
            return replace(detector, operations=operations, failures=len(failed))
    return detector.after_successes(operations - detector.operations)
