"""What the gates and the guard read of the present stage, by the database's clock."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from carecollective.accounts.models import User
from carecollective.core.database import fetch_all
from rollout.gates import statistics
from rollout.gates.criteria import CONFIDENCE, PERCENTILE, latency_limit
from rollout.gates.results import DAY, Baseline, Exposure, Observation, Tally, Timings
from rollout.gates.sequential import Detector, detect
from rollout.gates.stays import SET_ASIDE, Run, find_resumed, read_runs
from rollout.models import Proposal, ProposalState
from rollout.stages import DISABLED, Stage, StageKind, order_key
from rollout.targeting import snapshot
from rollout.targeting.cohort import INTERNAL_TESTERS, bucket
from rollout.telemetry import metrics
from rollout.telemetry.metrics import Between, Period, Resumed, Since
from rollout.telemetry.outcomes import Method
from rollout.versions import MessagingVersion

# What was under way in V1 when the stage began may end there.
GRACE = timedelta(minutes=1)
_SHORTEST_TRAFFIC = timedelta(hours=1)


def read_detector() -> Detector:
    """Fold every V2 operation since the present stage began, in the order of time.

    It is counted anew each time, so that a guard that has just taken over knows what its predecessor knew, and an event
    that arrived late stands in its place.
    """
    ((operations, failed),) = fetch_all(
        """
        SELECT count(*), coalesce(array_agg(number ORDER BY number) FILTER (WHERE failed), '{}')
        FROM (
          SELECT log_level = 'error' AS failed, row_number() OVER (ORDER BY timestamp, id) AS number
          FROM public.application_logs
          WHERE version = 'v2' AND log_level <> 'warn' AND timestamp >= (
            SELECT at FROM public.rollout_change
            WHERE from_stage IS DISTINCT FROM to_stage ORDER BY id DESC LIMIT 1)
        ) AS numbered
        """
    )
    return detect(operations=operations, failed=failed)


def collect_observation(*, confidence: float = CONFIDENCE) -> Observation:
    """Gather all that the gates judge, from the present stage's beginning until now."""
    state = snapshot.read_now()
    stage = state.stage
    ((now,),) = fetch_all("SELECT clock_timestamp()")
    runs = read_runs()
    if not runs:
        return Observation(now=now, since=None)
    since, resumed = runs[0].began, find_resumed(runs)
    traffic_from = max(since, now - timedelta(seconds=DAY))
    period, traffic = _period(since, resumed), Since(traffic_from)
    v1_creations = metrics.v1_creations(Since(since + GRACE))
    in_grace = metrics.v1_creations(Between(since, since + GRACE))
    return Observation(
        now=now,
        since=since,
        resumed_from=resumed.began if resumed else None,
        creations_in_grace=in_grace.denominator,
        traffic_seconds=max(now - traffic_from, _SHORTEST_TRAFFIC).total_seconds(),
        starts=_tally(period, traffic, Method.START),
        operations=_tally(period, traffic, None),
        sends=_timings(period, traffic, latency_limit(stage), confidence),
        baseline=_baseline(stage=stage, earlier=runs[1:], period=period, confidence=confidence),
        v1_creations=v1_creations.numerator,
        creations=v1_creations.denominator,
        exposure=_exposure(stage=stage, salt=state.salt, since=since, traffic_from=traffic_from),
    )


def _period(since: datetime, resumed: Run | None) -> Period:
    """Return what the stage is judged by: a resumed one also by its stay before the rollback, but for the last minutes."""
    if resumed is None or resumed.ended is None:
        return Since(since)
    return Resumed(resumed.began, max(resumed.began, resumed.ended - SET_ASIDE), since)


def _tally(period: Period, traffic: Since, method: Method | None) -> Tally:
    seen = metrics.outcomes(period, version=MessagingVersion.V2, method=method)
    today = metrics.outcomes(traffic, version=MessagingVersion.V2, method=method)
    return Tally(successes=seen.succeeded, failures=seen.failed, refusals=seen.refused, today=today.denominator)


def _timings(period: Period, traffic: Since, limit: float, confidence: float) -> Timings:
    within, seen = metrics.calls_within(period, limit), metrics.latency_p95(period)
    return Timings(
        calls=within.denominator,
        within=within.numerator,
        p95_ms=seen.p95_ms,
        p95_at_most_ms=_p95_at_most(period, seen.calls, confidence),
        today=metrics.latency_p95(traffic).calls,
        limit_ms=limit,
    )


def _baseline(*, stage: Stage, earlier: Sequence[Run], period: Period, confidence: float) -> Baseline | None:
    """Find the last stay at a lower stage that says enough to compare with; failing that, the last that says anything."""
    first: Baseline | None = None
    for run in earlier:
        if run.stage is None or run.ended is None or run.stage == DISABLED or order_key(run.stage) >= order_key(stage):
            continue
        found = _measure(run.stage, Between(run.began, run.ended), period, confidence)
        if found.limit_ms is not None:
            return found
        first = first or found
    return first


def _measure(stage: Stage, stay: Between, period: Period, confidence: float) -> Baseline:
    seen = metrics.latency_p95(stay)
    calls, p95, limit = seen.calls, seen.p95_ms, _p95_at_most(stay, seen.calls, confidence)
    kept = _sends_on_record(stay)
    if kept.get("calls", 0) > calls:
        calls, p95, limit = kept["calls"], kept["p95_ms"], kept["p95_at_most_ms"]
    if limit is None:
        return Baseline(stage=stage, calls=calls, p95_ms=p95)
    within = metrics.calls_within(period, limit, inclusive=True)
    return Baseline(
        stage=stage, calls=calls, p95_ms=p95, limit_ms=limit, within=within.numerator, trials=within.denominator
    )


def _p95_at_most(period: Period, calls: int, confidence: float) -> float | None:
    """Return the time that the true p95 of the sends is proven not to exceed; None of too few."""
    rank = statistics.quantile_rank(trials=calls, quantile=PERCENTILE, confidence=confidence)
    return None if rank is None else metrics.duration_at(period, rank)


def _sends_on_record(stay: Between) -> Mapping[str, Any]:
    """Return what the step up out of a stay kept of its sends: the events themselves go after EVENTS_RETENTION_DAYS."""
    ended = Proposal.objects.filter(state=ProposalState.APPROVED, decided_at__gt=stay.start, decided_at__lte=stay.end)
    found: Mapping[str, Any] = ended.order_by("-pk").values_list("evidence__sends", flat=True).first() or {}
    return found


def _exposure(*, stage: Stage, salt: str, since: datetime, traffic_from: datetime) -> Exposure:
    """Place the members who were seen to start a conversation, leaving out those who are in V2 at every stage."""
    if stage.kind is not StageKind.PERCENTAGE:
        return Exposure()
    rows = fetch_all(
        "SELECT user_id, bool_or(version = 'v2'), bool_or(version = 'v1'), min(timestamp) >= %s"
        " FROM public.application_logs WHERE timestamp >= %s AND method = %s AND log_level <> 'warn'"
        " AND version IS NOT NULL AND user_id IS NOT NULL GROUP BY user_id",
        [traffic_from, since, Method.START.value],
    )
    always_in = set(
        User.objects.filter(Q(is_staff=True) | Q(groups__name=INTERNAL_TESTERS)).values_list("pk", flat=True)
    )
    in_v2 = in_v1 = misplaced = today = 0
    for user_id, seen_in_v2, seen_in_v1, new_today in rows:
        if user_id in always_in:
            continue
        belongs_to_v2 = bucket(member_id=user_id, salt=salt) < stage.threshold
        in_v2 += seen_in_v2
        in_v1 += not seen_in_v2
        misplaced += seen_in_v1 if belongs_to_v2 else seen_in_v2
        today += new_today
    return Exposure(in_v2=in_v2, in_v1=in_v1, misplaced=misplaced, today=today)
