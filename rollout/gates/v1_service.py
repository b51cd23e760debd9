"""Does V1 serve the members after a rollback?"""

from dataclasses import dataclass
from datetime import datetime

from carecollective.core.database import fetch_one
from carecollective.formats.moments import moment
from rollout.gates.results import CheckState
from rollout.gates.stays import read_stays
from rollout.telemetry import metrics
from rollout.versions import MessagingVersion

# As in the alert rules: fewer failures may be chance.
FAILURES, SUCCESS = 3, 0.95
# A trial is made every ten minutes at least; a much older one is out of date.
STALE_SECONDS = 1500.0
_TRIAL = """
SELECT at, error_code, failures, extract(epoch FROM clock_timestamp() - at)::float8 FROM public.rollout_v1_trial
WHERE at > %s
"""


@dataclass(frozen=True, slots=True)
class ServedSince:
    """How V1's starts have ended since V2 was rolled back."""

    since: datetime
    succeeded: int
    failed: int
    state: CheckState
    words: str


@dataclass(frozen=True, slots=True)
class TrialStart:
    """The latest trial start in V1. `error_code` is empty where it worked; `failures` counts those in a row."""

    at: datetime
    error_code: str
    failures: int
    age_seconds: float

    @property
    def summary(self) -> str:
        at = moment(self.at)
        if self.error_code:
            return f"A trial start in V1 failed at {at} with {self.error_code}: members cannot start conversations."
        return f"A trial start in V1 worked at {at}."


def read_rolled_back_at() -> datetime | None:
    """Return when V2 was rolled back; None unless that was the latest change of the stage."""
    latest = next(iter(read_stays()), None)
    return latest.began if latest is not None and latest.is_rollback else None


def read_trial(since: datetime) -> TrialStart | None:
    """Return the latest trial start in V1, if it was made after `since`."""
    row = fetch_one(_TRIAL, [since])
    return None if row is None else TrialStart(*row)


def read_v1_since_rollback() -> ServedSince | None:
    """Count how V1's starts and the latest trial ended since the rollback; None unless that was the latest change."""
    since = read_rolled_back_at()
    if since is None:
        return None
    seen = metrics.creation_success(metrics.Span(since), version=MessagingVersion.V1)
    failures = f"{seen.failed} of {seen.trials} starts failed"
    share = seen.successes.share
    if share is None:
        state, words = CheckState.INSUFFICIENT, "Not known yet if V1 serves members: no start since the rollback."
    elif seen.failed >= FAILURES and share < SUCCESS:
        state, words = CheckState.FAIL, f"V1 does not serve members: {failures} since the rollback."
    elif share < SUCCESS:
        state, words = CheckState.INSUFFICIENT, f"Not known yet if V1 serves members: {failures} so far."
    else:
        successes = f"{seen.succeeded} of {seen.trials}"
        state, words = CheckState.PASS, f"Members are served by V1: {successes} since the rollback."
    state, words = _with_trial(read_trial(since), state, words, unused=share is None)
    return ServedSince(since=since, succeeded=seen.succeeded, failed=seen.failed, state=state, words=words)


def _with_trial(trial: TrialStart | None, state: CheckState, words: str, *, unused: bool) -> tuple[CheckState, str]:
    """Add the latest trial to the result of members' own starts; without those, the trial decides."""
    if trial is None:
        return state, words
    if trial.error_code:
        state = CheckState.FAIL
    elif unused and trial.age_seconds < STALE_SECONDS:
        state = CheckState.PASS
    if unused and state is not CheckState.INSUFFICIENT:
        words = "No member has started a conversation since the rollback."
    said = (trial.summary, words) if unused or trial.error_code else (words, trial.summary)
    return state, " ".join(said)
