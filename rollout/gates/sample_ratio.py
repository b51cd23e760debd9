"""Whether the members seen in V2 are as many as the percentage says, and the right ones."""

import math

from rollout import formatting
from rollout.gates import statistics
from rollout.gates.results import Observation, Verdict, VerdictState
from rollout.stages import BUCKETS, Stage

ALARM = 0.001
_FEWEST = 5  # the chi-square distribution fits from five expected members in a cell
_TOLERATED = 0.01  # staff come and go, a process falls back to V1 for a moment


def judge_exposure(*, stage: Stage, observation: Observation) -> Verdict:
    """Compare the members seen in V2 and in V1 with the percentage, by chi-square; p below .001 fails.

    A shortage of one side tells of members who were lost on the way, or of a decision that does not follow the buckets.
    Too few members are no reason to wait, but are said.
    """
    seen, share = observation.exposure, stage.threshold / BUCKETS
    rarer = min(share, 1 - share)
    needed = math.ceil(_FEWEST / rarer) if rarer else 0
    figures = {
        "in_v2": seen.in_v2,
        "in_v1": seen.in_v1,
        "misplaced": seen.misplaced,
        "share_asked": share,
        "statistic": None,
        "p_value": None,
    }
    counted = (
        f"Neither staff nor testers: {formatting.count(seen.members, 'member')} seen to start a conversation, "
        f"{seen.in_v2:,} of them in V2 where {formatting.percent(share)} should be"
    )
    missing = max(needed - seen.members, 0)
    forecast = observation.forecast(missing=missing, today=seen.today)
    misplaced = statistics.proves_at_least(
        successes=seen.misplaced, trials=seen.members, share=_TOLERATED, confidence=1 - ALARM
    )
    if misplaced:
        state, words = VerdictState.FAIL, f"{counted}; {seen.misplaced:,} of them not where their bucket places them."
    elif missing or not rarer:
        state = VerdictState.INSUFFICIENT if missing else VerdictState.PASS
        words = f"{counted}. It takes {formatting.count(needed, 'member')} to compare them. For information; blocks nothing."
    else:
        statistic, p_value = statistics.chi_square(
            observed=(seen.in_v2, seen.in_v1), expected=(seen.members * share, seen.members * (1 - share))
        )
        figures |= {"statistic": statistic, "p_value": p_value}
        state = VerdictState.FAIL if p_value < ALARM else VerdictState.PASS
        chance = "which chance would not do" if state is VerdictState.FAIL else "which chance explains"
        words = f"{counted}, {chance} (chi-square {statistic:.2f}, p {_chance(p_value)})."
    return Verdict(
        name="exposure",
        title="The right share of members is in",
        state=state,
        words=words,
        seen=seen.members,
        needed=max(needed, seen.members),
        unit="members",
        expected_at=forecast.at if missing else None,
        eta_seconds=forecast.seconds if missing else None,
        figures=figures,
        advisory=True,
    )


def _chance(p_value: float) -> str:
    return f"{p_value:.3f}" if p_value >= ALARM else "below 0.001"
