"""Gates on a proportion: proven, disproven, or not enough seen yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout import formatting
from rollout.gates import statistics
from rollout.gates.results import CheckState, GateResult, Measure, Observation

FEWEST_BAD = 2


@dataclass(frozen=True, slots=True)
class ProportionTest:
    """A test that more than `least` of the trials are good, at a confidence."""

    good: int
    trials: int
    least: float
    confidence: float

    @property
    def bad(self) -> int:
        return self.trials - self.good

    @property
    def proven(self) -> bool:
        """Tell whether the exact lower bound reaches `least`."""
        return statistics.proves_at_least(
            successes=self.good, trials=self.trials, share=self.least, confidence=self.confidence
        )

    @property
    def disproven(self) -> bool:
        """Tell whether even the exact upper bound stays below `least`."""
        return statistics.proves_at_least(
            successes=self.bad, trials=self.trials, share=1 - self.least, confidence=self.confidence
        )

    @property
    def needed(self) -> int:
        """How many trials prove it, if all that are still to come are good."""
        return statistics.trials_needed(failures=self.bad, share=self.least, confidence=self.confidence)

    @property
    def lower(self) -> float:
        return statistics.lower_bound(successes=self.good, trials=self.trials, confidence=self.confidence)

    @property
    def upper(self) -> float:
        return statistics.upper_bound(successes=self.good, trials=self.trials, confidence=self.confidence)

    @property
    def state(self) -> CheckState:
        """Judge: proven passes; two bad trials fail when disproven, or when as many clean trials would have passed.

        A single bad trial may be chance, even one of one.
        """
        if self.proven:
            return CheckState.PASS
        if self.bad < FEWEST_BAD:
            return CheckState.INSUFFICIENT
        clean = statistics.trials_needed(failures=0, share=self.least, confidence=self.confidence)
        below = self.trials >= clean and self.good < self.least * self.trials
        return CheckState.FAIL if below or self.disproven else CheckState.INSUFFICIENT


@dataclass(frozen=True, slots=True)
class Wording:
    """How a gate on a proportion is worded; with `of_failures`, by the bad trials: less than 1%, for example."""

    measure: Measure
    noun: str
    counted: str
    clean: str
    of_failures: bool = False


def judge_proportion(
    test: ProportionTest,
    seen: Observation,
    *,
    wording: Wording,
    today: int,
    refusals: int = 0,
    figures: Mapping[str, Any] | None = None,
) -> GateResult:
    """Judge a proportion, and estimate when the missing trials will have come."""
    state = test.state
    missing = max(test.needed - test.trials, 0) if state is CheckState.INSUFFICIENT else 0
    forecast = seen.forecast(missing=missing, today=today)
    words = _describe(test, wording)
    if missing:
        noun = f"more {wording.noun}" if test.trials else wording.noun
        words += f" It takes {formatting.count(missing, noun)} {wording.clean} to prove it; {forecast.summary}."
    if refusals:
        words += (
            f" {formatting.count(refusals, 'refusal')} that {'was' if refusals == 1 else 'were'} the members' own doing "
            f"{'counts' if refusals == 1 else 'count'} as neither."
        )
    return GateResult(
        name=wording.measure,
        title=wording.measure.label,
        state=state,
        words=words,
        seen=test.trials,
        needed=test.trials + missing,
        unit=f"{wording.noun}s",
        expected_at=forecast.at,
        eta_seconds=forecast.seconds,
        figures={
            "good": test.good,
            "trials": test.trials,
            "refusals": refusals,
            "rate": test.good / test.trials if test.trials else None,
            "lower_bound": test.lower,
            "upper_bound": test.upper,
            "least": test.least,
            "confidence": test.confidence,
            "today": today,
            **(figures or {}),
        },
    )


def _describe(test: ProportionTest, wording: Wording) -> str:
    if not test.trials:
        return f"No {wording.noun} has been counted in V2 since this stage began."
    confidence = formatting.percent(test.confidence)
    if wording.of_failures:
        rate = formatting.percent(test.bad / test.trials, up=True)
        bound = f"at most {formatting.percent(1 - test.lower, up=True)}"
        wanted = f"less than {formatting.percent(1 - test.least)} is asked"
    else:
        rate = formatting.percent(test.good / test.trials)
        bound = f"at least {formatting.percent(test.lower)}"
        wanted = f"more than {formatting.percent(test.least)} is asked"
    return f"{wording.counted} ({rate}): {bound} with {confidence} confidence, and {wanted}."
