"""What gates and guard read of the present stage, by the database's clock."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from carecollective.accounts.models import User
from carecollective.core.database import fetch_all
from rollout.gates import statistics
from rollout.gates.criteria import CONFIDENCE, PERCENTILE, latency_limit
from rollout.gates.results import DAY, Baseline, Observation, SeenMembers, Timings
from rollout.gates.sequential import Detector, detect
from rollout.gates.stays import SET_ASIDE, Stay, find_resumed, read_stays
from rollout.models import Proposal, ProposalState
from rollout.stages import DISABLED, Stage, StageKind, order_key
from rollout.targeting import snapshot
from rollout.targeting.cohort import INTERNAL_TESTERS, bucket
from rollout.telemetry import metrics
from rollout.telemetry.metrics import Outcomes, Period, Span
from rollout.telemetry.outcomes import Method
from rollout.versions import MessagingVersion

# What was under way in V1 when the stage began may end there.
GRACE = timedelta(minutes=1)
_SHORTEST_TRAFFIC = timedelta(hours=1)


def read_detector() -> Detector:
    """Run the detector over the present stage's V2 operations, in the order of time.

    It starts anew each time, so that a new guard knows what the last one knew, and late events count in their place.
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
    stays = read_stays()
    if not stays:
        return Observation(now=now, since=None)
    since, resumed = stays[0].began, find_resumed(stays)
    traffic_from = max(since, now - timedelta(seconds=DAY))
    period, traffic = _period(since, resumed), Span(traffic_from)
    starts, starts_today = _outcomes(period, Method.START), _outcomes(traffic, Method.START)
    operations, operations_today = _outcomes(period), _outcomes(traffic)
    return Observation(
        now=now,
        since=since,
        resumed_from=resumed.began if resumed else None,
        traffic_seconds=max(now - traffic_from, _SHORTEST_TRAFFIC).total_seconds(),
        starts=starts,
        starts_today=starts_today.trials,
        operations=operations,
        operations_today=operations_today.trials,
        sends=_timings(period, traffic, latency_limit(stage), confidence),
        baseline=_baseline(stage=stage, earlier=stays[1:], period=period, confidence=confidence),
        v1_creations=metrics.v1_creations(Span(since + GRACE)),
        creations_in_grace=metrics.v1_creations(Span(since, since + GRACE)).denominator,
        members=_seen_members(stage=stage, salt=state.salt, since=since, traffic_from=traffic_from),
    )


def _period(since: datetime, resumed: Stay | None) -> Period:
    """Return the time that counts for the stage: for a resumed one also its stay before the rollback's last minutes."""
    if resumed is None or resumed.ended is None:
        return Span(since)
    return Span(resumed.began, max(resumed.began, resumed.ended - SET_ASIDE), since)


def _outcomes(period: Period, method: Method | None = None) -> Outcomes:
    return metrics.outcomes(period, version=MessagingVersion.V2, method=method)


def _timings(period: Period, traffic: Span, limit: float, confidence: float) -> Timings:
    within, seen = metrics.sends_within(period, limit), metrics.latency_p95(period)
    return Timings(
        calls=within.denominator,
        within=within.numerator,
        p95_ms=seen.p95_ms,
        p95_at_most_ms=_p95_at_most(period, seen.calls, confidence),
        today=metrics.latency_p95(traffic).calls,
    )


def _baseline(*, stage: Stage, earlier: Sequence[Stay], period: Period, confidence: float) -> Baseline | None:
    """Measure the latest stay at a lower stage; prefer one with enough sends to compare."""
    first: Baseline | None = None
    for stay in earlier:
        if (
            stay.stage is None
            or stay.ended is None
            or stay.stage == DISABLED
            or order_key(stay.stage) >= order_key(stage)
        ):
            continue
        found = _measure(stay.stage, Span(stay.began, stay.ended), period, confidence)
        if found.limit_ms is not None:
            return found
        first = first or found
    return first


def _measure(stage: Stage, stay: Span, period: Period, confidence: float) -> Baseline:
    seen = metrics.latency_p95(stay)
    calls, p95, limit = seen.calls, seen.p95_ms, _p95_at_most(stay, seen.calls, confidence)
    kept = _sends_on_record(stay)
    if kept.get("calls", 0) > calls:
        calls, p95, limit = kept["calls"], kept["p95_ms"], kept["p95_at_most_ms"]
    if limit is None:
        return Baseline(stage=stage, calls=calls, p95_ms=p95)
    within = metrics.sends_within(period, limit, inclusive=True)
    return Baseline(
        stage=stage, calls=calls, p95_ms=p95, limit_ms=limit, within=within.numerator, trials=within.denominator
    )


def _p95_at_most(period: Period, calls: int, confidence: float) -> float | None:
    """Return the upper confidence bound of the sends' p95; None of too few sends."""
    rank = statistics.quantile_rank(trials=calls, quantile=PERCENTILE, confidence=confidence)
    return None if rank is None else metrics.duration_at(period, rank)


def _sends_on_record(stay: Span) -> Mapping[str, Any]:
    """Return what the promotion out of a stay recorded of its sends: events are kept for EVENTS_RETENTION_DAYS only."""
    ended = Proposal.objects.filter(state=ProposalState.APPROVED, decided_at__gt=stay.start, decided_at__lte=stay.end)
    found: Mapping[str, Any] = ended.order_by("-pk").values_list("evidence__sends", flat=True).first() or {}
    return found


def _seen_members(*, stage: Stage, salt: str, since: datetime, traffic_from: datetime) -> SeenMembers:
    """Count the members who started a conversation, by version. Staff and testers are left out."""
    if stage.kind is not StageKind.PERCENTAGE:
        return SeenMembers()
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
    return SeenMembers(in_v2=in_v2, in_v1=in_v1, misplaced=misplaced, today=today)
