"""A share of good trials held against the least that is asked for: proven, disproven, or not enough seen yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout import formatting
from rollout.gates import statistics
from rollout.gates.results import Observation, Verdict, VerdictState

FEWEST_BAD = 2


@dataclass(frozen=True, slots=True)
class Proportion:
    """So many good of so many, of which more than `least` should be good."""

    good: int
    trials: int
    least: float
    confidence: float

    @property
    def bad(self) -> int:
        return self.trials - self.good

    @property
    def proven(self) -> bool:
        """Tell whether the exact lower bound reaches what is asked."""
        return statistics.proves_at_least(
            successes=self.good, trials=self.trials, share=self.least, confidence=self.confidence
        )

    @property
    def disproven(self) -> bool:
        """Tell whether even the exact upper bound stays below what is asked."""
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
    def state(self) -> VerdictState:
        """Judge: between proof and disproof there is not enough, unless a clean run of this length would have passed.

        One bad trial of one disproves 95%, and is chance all the same: it takes two to fail.
        """
        if self.proven:
            return VerdictState.PASS
        if self.bad < FEWEST_BAD:
            return VerdictState.INSUFFICIENT
        clean = statistics.trials_needed(failures=0, share=self.least, confidence=self.confidence)
        below = self.trials >= clean and self.good < self.least * self.trials
        return VerdictState.FAIL if below or self.disproven else VerdictState.INSUFFICIENT


@dataclass(frozen=True, slots=True)
class Asked:
    """How a criterion on a share is worded; `of_failures` words it by the bad ones: less than 1%, say."""

    name: str
    title: str
    noun: str
    counted: str
    clean: str
    of_failures: bool = False


def judge_proportion(
    share: Proportion,
    seen: Observation,
    *,
    asked: Asked,
    today: int,
    refusals: int = 0,
    figures: Mapping[str, Any] | None = None,
) -> Verdict:
    """Word the judgement on a share, with when the missing trials will have come."""
    state = share.state
    missing = max(share.needed - share.trials, 0) if state is VerdictState.INSUFFICIENT else 0
    forecast = seen.forecast(missing=missing, today=today)
    words = _outcome(share, asked)
    if state is VerdictState.INSUFFICIENT:
        more = (
            formatting.count(missing, f"more {asked.noun}") if share.trials else formatting.count(missing, asked.noun)
        )
        words += f" It takes {more} {asked.clean} to prove it; {forecast.words}."
    if refusals:
        words += (
            f" {formatting.count(refusals, 'refusal')} that {'was' if refusals == 1 else 'were'} the members' own doing "
            f"{'counts' if refusals == 1 else 'count'} as neither."
        )
    return Verdict(
        name=asked.name,
        title=asked.title,
        state=state,
        words=words,
        seen=share.trials,
        needed=share.trials + missing,
        unit=f"{asked.noun}s",
        expected_at=forecast.at if missing else None,
        eta_seconds=forecast.seconds if missing else None,
        figures={
            "good": share.good,
            "trials": share.trials,
            "refusals": refusals,
            "rate": share.good / share.trials if share.trials else None,
            "lower_bound": share.lower,
            "upper_bound": share.upper,
            "least": share.least,
            "confidence": share.confidence,
            "today": today,
            **(figures or {}),
        },
    )


def _outcome(share: Proportion, asked: Asked) -> str:
    if not share.trials:
        return f"No {asked.noun} has been counted in V2 since this stage began."
    confidence = formatting.percent(share.confidence)
    if asked.of_failures:
        rate = formatting.percent(share.bad / share.trials, up=True)
        bound = f"at most {formatting.percent(1 - share.lower, up=True)}"
        wanted = f"less than {formatting.percent(1 - share.least)} is asked"
    else:
        rate = formatting.percent(share.good / share.trials)
        bound = f"at least {formatting.percent(share.lower)}"
        wanted = f"more than {formatting.percent(share.least)} is asked"
    return f"{asked.counted} ({rate}): {bound} with {confidence} confidence, and {wanted}."
