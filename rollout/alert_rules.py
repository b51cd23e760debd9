"""When people are alerted, and when V2 goes off by itself: the playbook's table with what it lacks. Pure, words included."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rollout import wording
from rollout.alert_log import Severity
from rollout.figures import Latency, Outcomes, Ratio, SlowCalls
from rollout.sequential import Detector
from rollout.stages import DISABLED, Stage

FIVE_MINUTES, FIFTEEN_MINUTES, ONE_MINUTE = 300, 900, 60
SLOW_MS = 5000.0
NOTHING = Outcomes(succeeded=0, failed=0, refused=0)
NONE_OF_NONE = Ratio(0, 0)
NO_CALLS = SlowCalls(count=0, calls=0, slowest_ms=None)
UNTESTED = Detector()

INVARIANTS: Mapping[str, str] = {
    "helper_is_requester": "the helper is the requester",
    "requester_is_not_owner": "the requester does not own the request",
    "pair_has_two": "the pair has a second conversation about the same request",
    "first_message_is_empty": "the first message is empty",
    "message_is_empty": "a message is empty",
    "sender_takes_no_part": "a message is from somebody who takes no part",
    "message_before_its_conversation": "a message is older than its conversation",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the guard saw in one look, by the database's clock.

    What judges V2, to turn it off, begins with the present stage at the earliest: `starts` and `detector`.
    The groups of `operations` and `sends` are "v1", "v2" and "both".
    """

    at: datetime
    stage: Stage
    stage_since: datetime | None
    starts: Outcomes = NOTHING
    operations: Mapping[str, Outcomes] = field(default_factory=dict)
    sends: Mapping[str, Latency] = field(default_factory=dict)
    duplicates: Ratio = NONE_OF_NONE
    slow: SlowCalls = NO_CALLS
    connection_errors: int = 0
    detector: Detector = UNTESTED
    broken: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that holds, with the figures that make it hold.

    `total` is given where the evidence stays until it is repaired: only more of it is new.
    """

    rule: "Rule"
    words: str
    figures: Mapping[str, Any]
    total: int | None = None


Judge = Callable[["Rule", Evidence], Finding | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table. It is over once nothing was found for `quiet_seconds`.

    Without `quiet_seconds`, whoever noted it ends it; with `ends_when_acknowledged`, whoever acknowledges it. A rule
    without a judge is for what is noted elsewhere: a change of the rollout, a process that is gone.
    `minimum` operations must have been seen, and a rate must stand on `fewest` of what is counted: two failures of five
    are a bad rate, and chance.
    While an alert of a kind in `silenced_by` is open, this rule opens none of its own: it would say the same again.
    """

    kind: str
    severity: Severity
    title: str
    condition: str
    action: str
    judge: Judge | None = None
    window_seconds: int = FIVE_MINUTES
    threshold: float = 0.0
    minimum: int = 1
    fewest: int = 5
    disables_v2: bool = False
    quiet_seconds: int | None = ONE_MINUTE
    ends_when_acknowledged: bool = False
    silenced_by: tuple[str, ...] = ()


def evaluate(evidence: Evidence) -> tuple[Finding, ...]:
    """Judge the evidence by every rule; what turns V2 off comes first."""
    return tuple(finding for rule in RULES if rule.judge and (finding := rule.judge(rule, evidence)) is not None)


def rule_of(kind: str) -> Rule | None:
    """Find a rule by its kind; None for one of earlier days."""
    return _BY_KIND.get(kind)


def _creation_success(rule: Rule, evidence: Evidence) -> Finding | None:
    seen = evidence.starts
    share = seen.share
    if share is None or seen.denominator < rule.minimum or seen.failed < rule.fewest or share >= rule.threshold:
        return None
    words = (
        f"{seen.failed} of {seen.denominator} new conversations failed in V2 in the last 5 minutes: "
        f"{wording.percent(share)} succeeded, under {wording.percent(rule.threshold)}."
    )
    return Finding(rule, words, {"failed": seen.failed, "operations": seen.denominator, "success": round(share, 4)})


def _sequence(rule: Rule, evidence: Evidence) -> Finding | None:
    seen = evidence.detector
    # Once tripped it stays so until the stage changes; where V2 is off already, it would never be over.
    if not seen.tripped or evidence.stage == DISABLED:
        return None
    words = (
        f"{seen.failures} of {seen.operations} operations failed in V2 since this stage began, too many in too short a "
        f"row to be chance (noticed at operation {seen.tripped_at})."
    )
    figures = {"failed": seen.failures, "operations": seen.operations, "tripped_at": seen.tripped_at}
    return Finding(rule, words, figures)


def _broken(rule: Rule, evidence: Evidence) -> Finding | None:
    broken = {name: count for name, count in evidence.broken.items() if count}
    total = sum(broken.values())
    if total < rule.minimum:
        return None
    named = "; ".join(f"{INVARIANTS.get(name, name)} ({count})" for name, count in broken.items())
    return Finding(rule, f"V2 holds data that cannot be: {named}.", {"broken": broken, "total": total}, total)


def _slow_call(rule: Rule, evidence: Evidence) -> Finding | None:
    seen = evidence.slow
    if seen.count < rule.minimum or seen.slowest_ms is None:
        return None
    calls = "A call" if seen.count == 1 else f"{seen.count} calls"
    words = f"{calls} took over 5 seconds in the last 5 minutes; the slowest took {seen.slowest_ms / 1000:.1f} s."
    return Finding(rule, words, {"calls": seen.count, "slowest_ms": round(seen.slowest_ms)})


def _connection_errors(rule: Rule, evidence: Evidence) -> Finding | None:
    if evidence.connection_errors <= rule.threshold:
        return None
    words = f"The database could not be reached {evidence.connection_errors} times within one minute."
    return Finding(rule, words, {"errors": evidence.connection_errors})


def _error_rate(rule: Rule, evidence: Evidence) -> Finding | None:
    found = [
        (seen.errors.share, group, seen)
        for group, seen in evidence.operations.items()
        if seen.errors.share is not None and seen.denominator >= rule.minimum and seen.failed >= rule.fewest
    ]
    share, group, seen = max(found, default=(0.0, "", NOTHING), key=lambda one: one[0])
    if share <= rule.threshold:
        return None
    words = (
        f"{seen.failed} of {seen.denominator} operations failed in {_group(group)} in the last 5 minutes: "
        f"{wording.percent(share, up=True)}, over {wording.percent(rule.threshold)}."
    )
    return Finding(rule, words, {"version": group, "failed": seen.failed, "operations": seen.denominator})


def _latency(rule: Rule, evidence: Evidence) -> Finding | None:
    found = [
        (seen.p95_ms, group, seen.calls)
        for group, seen in evidence.sends.items()
        if seen.p95_ms is not None and seen.calls >= rule.minimum
    ]
    p95, group, calls = max(found, default=(0.0, "", 0), key=lambda one: one[0])
    if p95 <= rule.threshold:
        return None
    words = (
        f"The slowest twentieth of {calls} messages took {p95:.0f} ms or more to send in {_group(group)} in the last "
        f"5 minutes (p95), over {rule.threshold:.0f} ms."
    )
    return Finding(rule, words, {"version": group, "p95_ms": round(p95), "calls": calls})


def _duplicates(rule: Rule, evidence: Evidence) -> Finding | None:
    seen = evidence.duplicates
    share = seen.share
    if share is None or seen.denominator < rule.minimum or seen.numerator < rule.fewest or share <= rule.threshold:
        return None
    words = (
        f"{seen.numerator} of {seen.denominator} offers in the last 15 minutes met a conversation that stood already: "
        f"{wording.percent(share, up=True)}, over {wording.percent(rule.threshold)}."
    )
    return Finding(rule, words, {"duplicates": seen.numerator, "offers": seen.denominator})


def _group(group: str) -> str:
    return "either version" if group == "both" else group.upper()


def _table() -> Iterator[Rule]:
    yield Rule(
        kind="integrity",
        severity=Severity.CRITICAL,
        title="A conversation is broken",
        condition="a V2 conversation breaks an invariant",
        action="Find and repair the rows: `manage.py guard --broken` counts them by kind.",
        judge=_broken,
        disables_v2=True,
    )
    yield Rule(
        kind="creation_failing",
        severity=Severity.CRITICAL,
        title="Conversations cannot be started",
        condition="under 80% of new V2 conversations succeed in 5 minutes",
        action="Look at the errors by code, then at the database.",
        judge=_creation_success,
        threshold=0.80,
        minimum=3,
        fewest=3,
        disables_v2=True,
        quiet_seconds=FIVE_MINUTES,
    )
    yield Rule(
        kind="failures_in_sequence",
        severity=Severity.CRITICAL,
        title="V2 fails more often than chance allows",
        condition="a sequential test of all V2 operations since the stage began",
        action="Look at the errors by code, then at the database.",
        judge=_sequence,
        disables_v2=True,
        quiet_seconds=FIVE_MINUTES,
        silenced_by=("creation_failing",),
    )
    yield Rule(
        kind="slow_call",
        severity=Severity.CRITICAL,
        title="A call took over 5 seconds",
        condition="any call over 5 seconds, once is enough",
        action="Look at the database: locks, long queries, load.",
        judge=_slow_call,
        threshold=SLOW_MS,
    )
    yield Rule(
        kind="connection_errors",
        severity=Severity.CRITICAL,
        title="The database cannot be reached",
        condition="over 10 connection errors in one minute",
        action="See whether the database runs and takes more connections.",
        judge=_connection_errors,
        window_seconds=ONE_MINUTE,
        threshold=10,
    )
    yield Rule(
        kind="error_rate",
        severity=Severity.WARNING,
        title="Operations fail",
        condition="over 5% of operations fail in 5 minutes",
        action="Look at the errors by code.",
        judge=_error_rate,
        threshold=0.05,
        minimum=20,
        silenced_by=("creation_failing", "failures_in_sequence"),
    )
    yield Rule(
        kind="latency",
        severity=Severity.WARNING,
        title="Sending is slow",
        condition="p95 of sending over 1,000 ms in 5 minutes",
        action="Look at how the database performs.",
        judge=_latency,
        threshold=1000.0,
        minimum=20,
    )
    yield Rule(
        kind="duplicates",
        severity=Severity.WARNING,
        title="The same conversation is started again and again",
        condition="over 10% of offers meet a standing conversation in 15 minutes",
        action="Look for a page or a client that sends the form twice.",
        judge=_duplicates,
        window_seconds=FIFTEEN_MINUTES,
        threshold=0.10,
        minimum=20,
    )
    yield Rule(
        kind="creation_low",
        severity=Severity.WARNING,
        title="Some conversations cannot be started",
        condition="under 95% of new V2 conversations succeed in 5 minutes",
        action="Look at the errors by code.",
        judge=_creation_success,
        threshold=0.95,
        minimum=20,
        fewest=3,
        silenced_by=("creation_failing", "failures_in_sequence"),
    )
    yield Rule(
        kind="guard_absent",
        severity=Severity.WARNING,
        title="The rollout went unwatched",
        condition="no guard for over a minute while V2 was meant to be on; V2 was off for as long",
        action="See why the guard had ended.",
        window_seconds=ONE_MINUTE,
        quiet_seconds=None,
    )
    yield Rule(
        kind="worker_absent",
        severity=Severity.WARNING,
        title="The worker is gone",
        condition="no worker for over a minute",
        action="Start the worker: until then no mail goes to members.",
        window_seconds=ONE_MINUTE,
    )
    yield Rule(
        kind="guard_rollback",
        severity=Severity.CRITICAL,
        title="The guard turned V2 off",
        condition="every rollback by the guard",
        action="Find the cause and file it in the control room before V2 is turned on again.",
        quiet_seconds=FIVE_MINUTES,
    )
    yield Rule(
        kind="changed_from_outside",
        severity=Severity.CRITICAL,
        title="The rollout was changed from outside",
        condition="every change of the rollout that did not go through the application",
        action="Find out who made it. Acknowledge it in the control room, or roll back.",
        quiet_seconds=None,
        ends_when_acknowledged=True,
    )
    yield Rule(
        kind="stage_changed",
        severity=Severity.NOTICE,
        title="The rollout was changed",
        condition="every change of the rollout by a person",
        action="Nothing to do, if you know of it.",
    )


RULES = tuple(_table())
_BY_KIND = {rule.kind: rule for rule in RULES}
