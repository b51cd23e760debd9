"""What each stage must show before the next one: pure functions from figures to verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from carecollective.core.moments import moment
from rollout import formatting
from rollout.gates import statistics
from rollout.gates.proportions import Asked, Proportion, judge_proportion
from rollout.gates.results import DAY, Baseline, Observation, Verdict, VerdictState
from rollout.gates.sample_ratio import judge_exposure
from rollout.stages import DISABLED, ENABLED, INTERNAL, STAGES, Stage, StageKind, standard_stage

CONFIDENCE = 0.95
RESUMED_BAKE_DAYS = 1  # how long a stage must last that was resumed after a rollback
PERCENTILE = 0.95  # the one that the playbook's latency criteria name


class Measure(StrEnum):
    """What a criterion looks at; the value is the verdict's name."""

    SUCCESS = "success"
    LATENCY = "latency"
    ERRORS = "errors"
    LATENCY_TREND = "latency_trend"
    V1_CREATIONS = "v1_creations"
    BAKE = "bake"

    @property
    def heading(self) -> str:
        return _HEADINGS[self]


_HEADINGS = {
    Measure.SUCCESS: "Conversations begin",
    Measure.LATENCY: "Messages are sent quickly",
    Measure.ERRORS: "Errors are rare",
    Measure.LATENCY_TREND: "No slower than the stage before",
    Measure.V1_CREATIONS: "Nothing new begins in V1",
    Measure.BAKE: "The stage has lasted",
}


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that a stage must show. `limit` is a share, milliseconds, a number of conversations, or days."""

    measure: Measure
    limit: float


_TENTH, _HALF = STAGES[2:4]
CRITERIA: Mapping[Stage, tuple[Criterion, ...]] = {
    DISABLED: (),
    INTERNAL: (Criterion(Measure.SUCCESS, 0.95), Criterion(Measure.LATENCY, 500), Criterion(Measure.BAKE, 3)),
    _TENTH: (Criterion(Measure.SUCCESS, 0.95), Criterion(Measure.ERRORS, 0.01), Criterion(Measure.BAKE, 3)),
    _HALF: (
        Criterion(Measure.SUCCESS, 0.97),
        Criterion(Measure.LATENCY_TREND, PERCENTILE),
        Criterion(Measure.BAKE, 7),
    ),
    ENABLED: (Criterion(Measure.SUCCESS, 0.99), Criterion(Measure.V1_CREATIONS, 0), Criterion(Measure.BAKE, 14)),
}


def criteria_for(stage: Stage) -> tuple[Criterion, ...]:
    """Return what `stage` must show: a percentage between two of the five stages belongs to the lower one."""
    return CRITERIA[standard_stage(stage)]


def success_limit(stage: Stage) -> float:
    """Return the share of starts that must succeed at the stage; 99% where its criteria name none."""
    limits = (criterion.limit for criterion in criteria_for(stage) if criterion.measure is Measure.SUCCESS)
    return next(limits, 0.99)


def bake_days(stage: Stage, *, is_resumed: bool) -> float:
    """Return how many days the stage must last; fewer where it was resumed after a rollback, none where none are asked."""
    limits = (criterion.limit for criterion in criteria_for(stage) if criterion.measure is Measure.BAKE)
    asked = next(limits, 0)
    return min(asked, RESUMED_BAKE_DAYS) if is_resumed else asked


def latency_limit(stage: Stage) -> float:
    """Return the milliseconds that the stage's messages are held against; 500 where its criteria name none."""
    limits = (criterion.limit for criterion in criteria_for(stage) if criterion.measure is Measure.LATENCY)
    return next(limits, 500.0)


def evaluate(*, stage: Stage, observation: Observation, confidence: float = CONFIDENCE) -> tuple[Verdict, ...]:
    """Judge what the present stage has shown, criterion by criterion; nothing is asked of `disabled`.

    The verdicts come in the order in which people read them; the stage is done when none of them `blocks`.
    No data never passes.
    """
    verdicts = [judge(criterion, observation, confidence) for criterion in criteria_for(stage)]
    if stage.kind is StageKind.PERCENTAGE:
        verdicts.append(judge_exposure(stage=stage, observation=observation))
    return tuple(verdicts)


def judge(criterion: Criterion, seen: Observation, confidence: float) -> Verdict:
    """Judge one criterion."""
    match criterion.measure:
        case Measure.SUCCESS:
            return _judge_success(criterion, seen, confidence)
        case Measure.LATENCY:
            return _judge_latency(criterion, seen, confidence)
        case Measure.ERRORS:
            return _judge_errors(criterion, seen, confidence)
        case Measure.LATENCY_TREND:
            return _judge_latency_trend(criterion, seen, confidence)
        case Measure.V1_CREATIONS:
            return _judge_v1_creations(criterion, seen)
        case Measure.BAKE:
            return _judge_bake(criterion, seen)


def _judge_success(criterion: Criterion, seen: Observation, confidence: float) -> Verdict:
    starts = seen.starts
    asked = Asked(
        name=criterion.measure,
        title=criterion.measure.heading,
        noun="start",
        counted=f"{starts.successes:,} of {formatting.count(starts.trials, 'start')} in V2 succeeded",
        clean="without a failure",
    )
    share = Proportion(good=starts.successes, trials=starts.trials, least=criterion.limit, confidence=confidence)
    return judge_proportion(share, seen, asked=asked, today=starts.today, refusals=starts.refusals)


def _judge_errors(criterion: Criterion, seen: Observation, confidence: float) -> Verdict:
    tally = seen.operations
    asked = Asked(
        name=criterion.measure,
        title=criterion.measure.heading,
        noun="operation",
        counted=f"{tally.failures:,} of {formatting.count(tally.trials, 'operation')} (starts and messages) in V2 failed",
        clean="without a failure",
        of_failures=True,
    )
    share = Proportion(good=tally.successes, trials=tally.trials, least=1 - criterion.limit, confidence=confidence)
    return judge_proportion(share, seen, asked=asked, today=tally.today, refusals=tally.refusals)


def _judge_latency(criterion: Criterion, seen: Observation, confidence: float) -> Verdict:
    sends, limit = seen.sends, formatting.milliseconds(criterion.limit)
    asked = Asked(
        name=criterion.measure,
        title=criterion.measure.heading,
        noun="message",
        counted=f"{_p95(seen)}{sends.within:,} of {formatting.count(sends.calls, 'message')} in V2 took less than {limit}",
        clean=f"under {limit}",
    )
    share = Proportion(good=sends.within, trials=sends.calls, least=PERCENTILE, confidence=confidence)
    figures = {"p95_ms": sends.p95_ms, "limit_ms": criterion.limit}
    return judge_proportion(share, seen, asked=asked, today=sends.today, figures=figures)


def _judge_latency_trend(criterion: Criterion, seen: Observation, confidence: float) -> Verdict:
    """Fail what is surely slower than the stage before.

    That stage was only a sample, too: the comparison is with the time that its true p95 surely did not exceed.
    """
    sends, before = seen.sends, seen.baseline
    needed = statistics.trials_needed(failures=0, share=criterion.limit, confidence=confidence)
    missing = max(needed - sends.calls, 0)
    forecast = seen.forecast(missing=missing, today=sends.today)
    state = VerdictState.INSUFFICIENT
    if before is None or before.p95_ms is None or before.limit_ms is None:
        name = f"the stage before ({before.stage})" if before else "any stage before"
        on_record = formatting.count(before.calls if before else 0, "message")
        words = f"{on_record} of {name} on record, and a comparison takes {needed}."
    elif missing:
        words = (
            f"{formatting.count(sends.calls, 'message')} in V2 so far. It takes {missing} more to compare them with "
            f"{before.stage} (p95 {formatting.milliseconds(before.p95_ms)}); {forecast.words}."
        )
    else:
        share = Proportion(good=before.within, trials=before.trials, least=criterion.limit, confidence=confidence)
        state = VerdictState.FAIL if share.disproven else VerdictState.PASS
        words = (
            f"{_p95(seen)}{'slower' if share.disproven else 'not measurably slower'} than at {before.stage}. There the p95 "
            f"was {formatting.milliseconds(before.p95_ms)}: at most {formatting.milliseconds(before.limit_ms)} "
            f"({formatting.percent(confidence)} sure). {before.within:,} of {formatting.count(before.trials, 'message')} took "
            "no longer than that."
        )
    return Verdict(
        name=criterion.measure,
        title=criterion.measure.heading,
        state=state,
        words=words,
        seen=sends.calls,
        needed=sends.calls + missing,
        unit="messages",
        expected_at=forecast.at if missing else None,
        eta_seconds=forecast.seconds if missing else None,
        figures={"p95_ms": sends.p95_ms, "trials": sends.calls, "confidence": confidence, **_figures_of(before)},
    )


def _figures_of(before: Baseline | None) -> dict[str, str | float | None]:
    if before is None:
        return {"before_stage": None}
    return {
        "before_stage": str(before.stage),
        "before_calls": before.calls,
        "before_p95_ms": before.p95_ms,
        "before_limit_ms": before.limit_ms,
        "within": before.within,
    }


def _judge_v1_creations(criterion: Criterion, seen: Observation) -> Verdict:
    begun = formatting.count(seen.creations, "conversation")
    if seen.v1_creations > criterion.limit:
        state = VerdictState.FAIL
        words = f"{seen.v1_creations:,} of {begun} began in V1 since this stage did, and none should."
    elif seen.creations:
        state, words = VerdictState.PASS, f"None of {begun} began in V1 since this stage did."
    else:
        state = VerdictState.INSUFFICIENT
        words = "No conversations counted yet."
        if seen.creations_in_grace:
            words = (
                f"{formatting.count(seen.creations_in_grace, 'conversation')} began in this stage's first minute, which does "
                "not count: what was under way in V1 may end in it. None has begun since."
            )
    return Verdict(
        name=criterion.measure,
        title=criterion.measure.heading,
        state=state,
        words=words,
        seen=seen.creations,
        needed=max(seen.creations, 1),
        unit="conversations",
        figures={"v1_creations": seen.v1_creations, "creations": seen.creations},
    )


def _judge_bake(criterion: Criterion, seen: Observation) -> Verdict:
    asked_days = min(criterion.limit, RESUMED_BAKE_DAYS) if seen.resumed_from else criterion.limit
    asked = timedelta(days=asked_days)
    lasted = seen.now - seen.since if seen.since else timedelta()
    days = formatting.count(int(asked_days), "day")
    over, at = lasted >= asked, seen.since + asked if seen.since else None
    if seen.since is None or at is None:
        words = f"When this stage began is not on record, and it should last {days}."
    elif over:
        words = f"In this stage since {moment(seen.since)}, for the {days} asked and more."
    else:
        words = f"In this stage since {moment(seen.since)}; the {days} asked are over at {moment(at, up=True)}."
    if seen.resumed_from:
        words += f" Resumed after a rollback whose root cause is filed; it first began at {moment(seen.resumed_from)}."
    return Verdict(
        name=criterion.measure,
        title=criterion.measure.heading,
        state=VerdictState.PASS if over else VerdictState.INSUFFICIENT,
        words=words,
        seen=max(int(lasted.total_seconds()), 0),
        needed=int(asked_days * DAY),
        unit="seconds",
        expected_at=None if over else at,
        eta_seconds=None if over or at is None else (at - seen.now).total_seconds(),
        figures={"days_asked": asked_days, "days_seen": lasted.total_seconds() / DAY},
    )


def _p95(seen: Observation) -> str:
    return "" if seen.sends.p95_ms is None else f"p95 {formatting.milliseconds(seen.sends.p95_ms)}; "
