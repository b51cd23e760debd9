"""The sample-ratio-mismatch check: is the percentage of members seen in V2 the one that is set?"""

import math

from rollout import formatting
from rollout.gates import statistics
from rollout.gates.results import CheckState, GateResult, Measure, Observation
from rollout.stages import BUCKETS, Stage

ALARM = 0.001
_FEWEST = 5  # the chi-square distribution fits from five expected members in a cell
_TOLERATED = 0.01  # staff come and go, a process falls back to V1 for a moment


def judge_sample_ratio(*, stage: Stage, observation: Observation) -> GateResult:
    """Compare the members seen in V2 and in V1 with the percentage, by chi-square; p below .001 fails.

    A mismatch means that members were lost on the way, or that the decision does not follow the buckets.
    Too few members block nothing.
    """
    seen, share = observation.members, stage.threshold / BUCKETS
    rarer = min(share, 1 - share)
    needed = math.ceil(_FEWEST / rarer) if rarer else 0
    statistic: float | None = None
    p_value: float | None = None
    counted = (
        f"Neither staff nor testers: {formatting.count(seen.total, 'member')} seen to start a conversation, "
        f"{seen.in_v2:,} of them in V2 where {formatting.percent(share)} should be"
    )
    missing = max(needed - seen.total, 0)
    forecast = observation.forecast(missing=missing, today=seen.today)
    misplaced = statistics.proves_at_least(
        successes=seen.misplaced, trials=seen.total, share=_TOLERATED, confidence=1 - ALARM
    )
    if misplaced:
        state, words = CheckState.FAIL, f"{counted}; {seen.misplaced:,} of them not where their bucket places them."
    elif missing or not rarer:
        state = CheckState.INSUFFICIENT if missing else CheckState.PASS
        words = f"{counted}. It takes {formatting.count(needed, 'member')} to compare them. For information; blocks nothing."
    else:
        statistic, p_value = statistics.chi_square(
            observed=(seen.in_v2, seen.in_v1), expected=(seen.total * share, seen.total * (1 - share))
        )
        state = CheckState.FAIL if p_value < ALARM else CheckState.PASS
        chance = "which chance would not do" if state is CheckState.FAIL else "which chance explains"
        chances = f"{p_value:.3f}" if p_value >= ALARM else "below 0.001"
        words = f"{counted}, {chance} (chi-square {statistic:.2f}, p {chances})."
    return GateResult(
        name=Measure.SAMPLE_RATIO,
        title=Measure.SAMPLE_RATIO.label,
        state=state,
        words=words,
        seen=seen.total,
        needed=max(needed, seen.total),
        unit="members",
        expected_at=forecast.at,
        eta_seconds=forecast.seconds,
        figures={
            "in_v2": seen.in_v2,
            "in_v1": seen.in_v1,
            "misplaced": seen.misplaced,
            "share_asked": share,
            "statistic": statistic,
            "p_value": p_value,
        },
        advisory=True,
    )
