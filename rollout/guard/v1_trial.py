"""Tries V1 after a rollback, to notice a broken V1 before members do. Each trial is rolled back."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from carecollective.core.database import ClockTimestamp, fetch_all
from carecollective.core.errors import DatabaseAway, DomainError, is_database_away
from carecollective.formats.moments import moment
from rollout.alerts import lifecycle
from rollout.alerts.evidence import Finding
from rollout.alerts.rules import rule_of
from rollout.gates.v1_service import TrialStart, read_rolled_back_at, read_trial
from rollout.models.alerts import Alert
from rollout.stages import DISABLED
from rollout.targeting import snapshot

logger = logging.getLogger(__name__)

ALERT = "v1_creation_failing"
# One failure may be chance.
FAILURES_IN_A_ROW = 2
EVERY_SECONDS, LATER_EVERY_SECONDS = 60.0, 600.0
AT_FIRST = timedelta(hours=1)
_STORE = """
INSERT INTO public.rollout_v1_trial AS latest (id, error_code, failures) VALUES (1, %(code)s, least(length(%(code)s), 1))
ON CONFLICT (id) DO UPDATE SET at = clock_timestamp(), error_code = excluded.error_code, failures = CASE
  WHEN excluded.failures = 0 THEN 0 WHEN latest.at > %(since)s THEN latest.failures + 1 ELSE 1 END
RETURNING at, error_code, failures
"""

_rehearsals: list[Callable[[], bool]] = []


def rehearse_with(rehearsal: Callable[[], bool]) -> None:
    """Register how an app above this one tries V1. `rehearsal` raises what a member would meet, and leaves no trace.

    It returns False when nothing could be tried.
    """
    _rehearsals[:] = [rehearsal]


def try_v1() -> int:
    """Try V1 if a trial is due, and raise or resolve the alert. Return how many trials were made.

    For the worker, and for the guard in its place; the connection must be the web role's. A trial is due each minute in
    the first hour after a rollback and while V1 fails, and every ten minutes later, until V2 is on or V1 is frozen.
    Raises django.db.Error when the result cannot be recorded.
    """
    since = read_rolled_back_at()
    if since is None or not _is_due(read_trial(since), since):
        return 0
    state = snapshot.read_now()
    if state.stage != DISABLED or not state.v1_writes:
        return 0
    code = _rehearse()
    if code is None:
        return 0
    ((at, code, failures),) = fetch_all(_STORE, {"code": code, "since": since})
    if failures >= FAILURES_IN_A_ROW:
        _alert(at, code, failures)
    elif not code:
        _end_alert()
    return 1


def _is_due(latest: TrialStart | None, since: datetime) -> bool:
    if latest is None:
        return True
    is_often = bool(latest.error_code) or latest.at - since < AT_FIRST
    return latest.age_seconds >= (EVERY_SECONDS if is_often else LATER_EVERY_SECONDS)


def _rehearse() -> str | None:
    """Return the error code, empty when all went well; None when nothing could be tried."""
    try:
        found_out = [rehearse() for rehearse in _rehearsals]
    except Exception as problem:  # noqa: BLE001 -- whatever it is, a member would meet it
        # Not by `as_domain_error`: a trial is neither counted nor reported.
        away = is_database_away(problem)
        code = problem.code if isinstance(problem, DomainError) else DatabaseAway.code if away else DomainError.code
        logger.warning("A trial start in V1 failed with %s (%s).", code, type(problem.__cause__ or problem).__name__)
        return code
    return "" if all(found_out) and found_out else None


def _alert(at: datetime, code: str, failures: int) -> None:
    message = (
        f"Members cannot start conversations in V1: {failures} trial starts in a row failed, the last at {moment(at)}"
        f" with {code}."
    )
    lifecycle.raise_alert(Finding(rule_of(ALERT), message, {"trial": True, "codes": {code: failures}}), stage=DISABLED)


def _end_alert() -> None:
    """Resolve the alert if a trial raised it. One that members' own starts raised resolves by those."""
    opened_here = Alert.objects.filter(kind=ALERT, resolved_at=None, figures__trial=True)
    opened_here.update(resolved_at=ClockTimestamp())
