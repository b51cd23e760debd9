"""What each stage must show before the next one: pure functions from an observation to results."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from carecollective.formats.moments import moment
from rollout import formatting
from rollout.gates import statistics
from rollout.gates.proportions import ProportionTest, Wording, judge_proportion
from rollout.gates.results import DAY, Baseline, CheckState, GateResult, Measure, Observation
from rollout.gates.sample_ratio import judge_sample_ratio
from rollout.stages import DISABLED, ENABLED, HALF, INTERNAL, TENTH, Stage, StageKind, standard_stage

CONFIDENCE = 0.95
RESUMED_BAKE_DAYS = 1  # how long a stage must last that was resumed after a rollback
PERCENTILE = 0.95  # the one that the playbook's latency criteria name


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that a stage must show. `limit` is a share, milliseconds, a number of conversations, or days."""

    measure: Measure
    limit: float


CRITERIA: Mapping[Stage, tuple[Criterion, ...]] = {
    DISABLED: (),
    INTERNAL: (Criterion(Measure.SUCCESS, 0.95), Criterion(Measure.LATENCY, 500), Criterion(Measure.BAKE, 3)),
    TENTH: (Criterion(Measure.SUCCESS, 0.95), Criterion(Measure.ERRORS, 0.01), Criterion(Measure.BAKE, 3)),
    HALF: (
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
    return _limit(stage, Measure.SUCCESS, default=0.99)


def latency_limit(stage: Stage) -> float:
    """Return the p95 limit of the stage's messages in milliseconds; 500 where its criteria name none."""
    return _limit(stage, Measure.LATENCY, default=500.0)


def bake_days(stage: Stage, *, is_resumed: bool) -> float:
    """Return how many days the stage must last; at most one where it was resumed after a rollback."""
    asked = _limit(stage, Measure.BAKE, default=0)
    return min(asked, RESUMED_BAKE_DAYS) if is_resumed else asked


def _limit(stage: Stage, measure: Measure, *, default: float) -> float:
    return next((criterion.limit for criterion in criteria_for(stage) if criterion.measure is measure), default)


def evaluate_gates(*, stage: Stage, observation: Observation, confidence: float = CONFIDENCE) -> tuple[GateResult, ...]:
    """Judge what the present stage has shown, criterion by criterion; `disabled` has none.

    The results come in the order in which people read them; the stage is done when none of them `blocks`.
    No data never passes.
    """
    results = [judge(criterion, observation, confidence) for criterion in criteria_for(stage)]
    if stage.kind is StageKind.PERCENTAGE:
        results.append(judge_sample_ratio(stage=stage, observation=observation))
    return tuple(results)


def judge(criterion: Criterion, seen: Observation, confidence: float) -> GateResult:
    """Judge one criterion."""
    return _JUDGES[criterion.measure](criterion, seen, confidence)


def _judge_success(criterion: Criterion, seen: Observation, confidence: float) -> GateResult:
    starts = seen.starts
    wording = Wording(
        measure=criterion.measure,
        noun="start",
        counted=f"{starts.succeeded:,} of {formatting.count(starts.trials, 'start')} in V2 succeeded",
        clean="without a failure",
    )
    test = ProportionTest(good=starts.succeeded, trials=starts.trials, least=criterion.limit, confidence=confidence)
    return judge_proportion(test, seen, wording=wording, today=seen.starts_today, refusals=starts.refused)


def _judge_errors(criterion: Criterion, seen: Observation, confidence: float) -> GateResult:
    ended = seen.operations
    wording = Wording(
        measure=criterion.measure,
        noun="operation",
        counted=f"{ended.failed:,} of {formatting.count(ended.trials, 'operation')} (starts and messages) in V2 failed",
        clean="without a failure",
        of_failures=True,
    )
    test = ProportionTest(good=ended.succeeded, trials=ended.trials, least=1 - criterion.limit, confidence=confidence)
    return judge_proportion(test, seen, wording=wording, today=seen.operations_today, refusals=ended.refused)


def _judge_latency(criterion: Criterion, seen: Observation, confidence: float) -> GateResult:
    sends, limit = seen.sends, formatting.milliseconds(criterion.limit)
    wording = Wording(
        measure=criterion.measure,
        noun="message",
        counted=f"{_p95(seen)}{sends.within:,} of {formatting.count(sends.calls, 'message')} in V2 took less than {limit}",
        clean=f"under {limit}",
    )
    test = ProportionTest(good=sends.within, trials=sends.calls, least=PERCENTILE, confidence=confidence)
    figures = {"p95_ms": sends.p95_ms, "limit_ms": criterion.limit}
    return judge_proportion(test, seen, wording=wording, today=sends.today, figures=figures)


def _judge_latency_trend(criterion: Criterion, seen: Observation, confidence: float) -> GateResult:
    """Fail when V2 is proven slower than at the stage before.

    That stage was only a sample too: the comparison is with the upper confidence bound of its p95.
    """
    sends, before = seen.sends, seen.baseline
    needed = statistics.trials_needed(failures=0, share=criterion.limit, confidence=confidence)
    missing = max(needed - sends.calls, 0)
    forecast = seen.forecast(missing=missing, today=sends.today)
    state = CheckState.INSUFFICIENT
    if before is None or before.p95_ms is None or before.limit_ms is None:
        name = f"the stage before ({before.stage})" if before else "any stage before"
        on_record = formatting.count(before.calls if before else 0, "message")
        words = f"{on_record} of {name} on record, and a comparison takes {needed}."
    elif missing:
        words = (
            f"{formatting.count(sends.calls, 'message')} in V2 so far. It takes {missing} more to compare them with "
            f"{before.stage} (p95 {formatting.milliseconds(before.p95_ms)}); {forecast.summary}."
        )
    else:
        test = ProportionTest(good=before.within, trials=before.trials, least=criterion.limit, confidence=confidence)
        state = CheckState.FAIL if test.disproven else CheckState.PASS
        words = (
            f"{_p95(seen)}{'slower' if test.disproven else 'not measurably slower'} than at {before.stage}. There the p95 "
            f"was {formatting.milliseconds(before.p95_ms)}: at most {formatting.milliseconds(before.limit_ms)} "
            f"({formatting.percent(confidence)} sure). {before.within:,} of {formatting.count(before.trials, 'message')} took "
            "no longer than that."
        )
    return GateResult(
        name=criterion.measure,
        title=criterion.measure.label,
        state=state,
        words=words,
        seen=sends.calls,
        needed=sends.calls + missing,
        unit="messages",
        expected_at=forecast.at,
        eta_seconds=forecast.seconds,
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


def _judge_v1_creations(criterion: Criterion, seen: Observation, confidence: float) -> GateResult:
    in_v1, total = seen.v1_creations.numerator, seen.v1_creations.denominator
    begun = formatting.count(total, "conversation")
    if in_v1 > criterion.limit:
        state, words = CheckState.FAIL, f"{in_v1:,} of {begun} began in V1 since this stage did, and none should."
    elif total:
        state, words = CheckState.PASS, f"None of {begun} began in V1 since this stage did."
    else:
        state, words = CheckState.INSUFFICIENT, "No conversations counted yet."
        if seen.creations_in_grace:
            words = (
                f"{formatting.count(seen.creations_in_grace, 'conversation')} began in this stage's first minute, which does "
                "not count: what was under way in V1 may end in it. None has begun since."
            )
    return GateResult(
        name=criterion.measure,
        title=criterion.measure.label,
        state=state,
        words=words,
        seen=total,
        needed=max(total, 1),
        unit="conversations",
        figures={"v1_creations": in_v1, "creations": total},
    )


def _judge_bake(criterion: Criterion, seen: Observation, confidence: float) -> GateResult:
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
    return GateResult(
        name=criterion.measure,
        title=criterion.measure.label,
        state=CheckState.PASS if over else CheckState.INSUFFICIENT,
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


_JUDGES = {
    Measure.SUCCESS: _judge_success,
    Measure.LATENCY: _judge_latency,
    Measure.ERRORS: _judge_errors,
    Measure.LATENCY_TREND: _judge_latency_trend,
    Measure.V1_CREATIONS: _judge_v1_creations,
    Measure.BAKE: _judge_bake,
}
