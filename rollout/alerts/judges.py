"""One function for each rule: does it fire, and on which figures? Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from uuid import UUID

from carecollective.core.errors import RateLimitExceeded
from carecollective.messaging.errors import ConversationExists
from rollout import formatting
from rollout.alerts.evidence import Evidence, Finding, Rule
from rollout.gates import statistics
from rollout.gates.sequential import HEALTHY
from rollout.models.alerts import Severity
from rollout.stages import DISABLED
from rollout.telemetry.metrics import NOTHING, Ending, Outcomes
from rollout.telemetry.outcomes import Method, Outcome
from rollout.versions import MessagingVersion

INVARIANTS: Mapping[str, str] = {
    "helper_is_requester": "the helper is the requester",
    "requester_is_not_owner": "the requester does not own the request",
    "pair_has_two": "the pair has a second conversation about the same request",
    "first_message_is_empty": "the first message is empty",
    "message_is_empty": "a message is empty",
    "sender_takes_no_part": "a message is from somebody who takes no part",
    "message_before_its_conversation": "a message is older than its conversation",
}


NORMALLY = f"normally 1 in {1 / HEALTHY:.0f}"
LATEST_STARTS, LATEST_ENDINGS = 3, 100
NEARLY_ALL, ENOUGH_FOR_CRITICAL = 0.9, 20
# One member who is too fast, or tries the same all day, is no sign of a fault; several members are.
SEVERAL_MEMBERS = 3
# p-values. They are tiny because the test is repeated after each operation and over many window lengths.
P_VALUE, P_VALUE_WITH_REPEATS = 1e-5, 1e-8


def creation_success(rule: Rule, evidence: Evidence) -> Finding | None:
    """Judge V2's starts since the stage began, five minutes at most."""
    return _few_succeed(rule, evidence, evidence.starts, MessagingVersion.V2)


def v1_creation_success(rule: Rule, evidence: Evidence) -> Finding | None:
    """Judge V1's starts of five minutes."""
    return _few_succeed(rule, evidence, evidence.v1_starts, MessagingVersion.V1)


def v1_creation_failing(rule: Rule, evidence: Evidence) -> Finding | None:
    """Judge V1's starts of five minutes, and the latest three of a day where there are few."""
    found = v1_creation_success(rule, evidence)
    latest = evidence.latest_v1_starts[:LATEST_STARTS]
    if found is not None or len(latest) < LATEST_STARTS or any(latest):
        return found
    words = f"The last {LATEST_STARTS} conversations that members tried to start in V1 all failed."
    codes = count_codes(evidence.endings, version=MessagingVersion.V1, method=Method.START)
    return Finding(rule, words, {"failed": LATEST_STARTS, "operations": LATEST_STARTS, "codes": codes})


def _few_succeed(rule: Rule, evidence: Evidence, seen: Outcomes, version: MessagingVersion) -> Finding | None:
    share = seen.successes.share
    if share is None or seen.trials < rule.minimum or seen.failed < rule.fewest or share >= rule.threshold:
        return None
    words = (
        f"{seen.failed} of {seen.trials} new conversations failed in {version.upper()} within 5 minutes "
        f"({NORMALLY}): {formatting.percent(share)} succeeded, under {formatting.percent(rule.threshold)}."
    )
    figures = {"failed": seen.failed, "operations": seen.trials, "success": round(share, 4)}
    codes = count_codes(evidence.endings, version=version, method=Method.START)
    return Finding(rule, words, {**figures, "codes": codes})


def failures_in_sequence(rule: Rule, evidence: Evidence) -> Finding | None:
    """Judge all V2 operations since the stage began, one after the other."""
    seen = evidence.detector
    # The detector stays tripped until the stage changes; with V2 off, its alert would never end.
    if not seen.tripped or evidence.stage == DISABLED:
        return None
    words = (
        f"{seen.failures} of {seen.operations} operations failed in V2 since this stage began ({NORMALLY}; "
        f"noticed at operation {seen.tripped_at})."
    )
    figures = {"failed": seen.failures, "operations": seen.operations, "tripped_at": seen.tripped_at}
    return Finding(rule, words, {**figures, "codes": count_codes(evidence.endings, version=MessagingVersion.V2)})


def count_codes(
    endings: Iterable[Ending], *, version: str | None = None, method: Method | None = None
) -> Mapping[str, int]:
    """Count the failures by code, the most frequent first."""
    counted = Counter[str]()
    for ending in endings:
        of_interest = version in (None, ending.version) and method in (None, ending.method)
        if of_interest and ending.outcome is Outcome.FAILED and ending.code:
            counted[ending.code] += ending.count
    return dict(counted.most_common())


def refusals(rule: Rule, evidence: Evidence) -> Finding | None:
    """Judge how often operations are refused with one code, compared with the stage before.

    It looks at the last five minutes, and where there is little traffic at the latest operations of a week.
    """
    found = max(
        (
            one
            for one in chain(_refused_in_five_minutes(evidence), _refused_among_latest(evidence))
            if _is_significant(rule, one, evidence)
        ),
        default=None,
        key=lambda one: (one.share, one.count),
    )
    if found is None:
        return None
    _usual, before = _earlier_rates(found.code, evidence)
    of_what, when = (
        (found.operations, " within 5 minutes") if found.is_recent else (f"the latest {found.operations}", "")
    )
    words = (
        f"{found.count} of {of_what} starts and sends were refused with {found.code} in {_group(found.group)}{when}: "
        f"{formatting.percent(found.share, up=True)}, against {formatting.percent(before)} in the stage before."
    )
    figures = {
        "version": found.group,
        "refused": found.count,
        "operations": found.operations,
        "before": before,
        "codes": {found.code: found.count},
    }
    are_many = found.operations >= ENOUGH_FOR_CRITICAL or found.members >= SEVERAL_MEMBERS
    severity = Severity.CRITICAL if found.share >= NEARLY_ALL and are_many else None
    return Finding(rule, words, figures, severity=severity)


@dataclass(frozen=True, slots=True)
class _Refused:
    """How many of a group's operations a code refused: for how many members, and how many were repeats."""

    group: str
    code: str
    count: int
    operations: int
    members: int
    repeats: int
    is_recent: bool

    @property
    def share(self) -> float:
        return self.count / self.operations


def _refused_in_five_minutes(evidence: Evidence) -> Iterator[_Refused]:
    """Count what each code refused within five minutes."""
    for group in ("v1", "v2", "both"):
        endings = [ending for ending in evidence.stage_endings if group in ("both", ending.version)]
        operations = sum(ending.count for ending in endings)
        for code in {ending.code for ending in endings if ending.outcome is Outcome.REFUSED and ending.code}:
            of_code = [ending for ending in endings if ending.code == code]
            count, members = sum(one.count for one in of_code), sum(one.members for one in of_code)
            yield _Refused(group, code, count, operations, members, repeats=0, is_recent=True)


def _refused_among_latest(evidence: Evidence) -> Iterator[_Refused]:
    """Count what each code refused among the latest operations, back to each of its refusals.

    A second refusal of a member within the same hour is a repeat.
    """
    for group, latest in evidence.latest.items():
        counts, tries = Counter[str](), defaultdict[str, set[tuple[UUID | None, int]]](set)
        for operations, one in enumerate(latest, start=1):
            if one.outcome is not Outcome.REFUSED or not one.code:
                continue
            counts[one.code] += 1
            tries[one.code].add((one.member, int(one.at.timestamp() // 3600)))
            members = {member for member, _hour in tries[one.code] if member}
            repeats = counts[one.code] - len(tries[one.code])
            yield _Refused(group, one.code, counts[one.code], operations, len(members), repeats, is_recent=False)


def _is_significant(rule: Rule, seen: _Refused, evidence: Evidence) -> bool:
    """Whether a code refuses significantly more than in the stage before."""
    # Duplicates have a rule of their own.
    if seen.code == ConversationExists.code:
        return False
    if seen.members < SEVERAL_MEMBERS and (seen.code == RateLimitExceeded.code or not seen.is_recent):
        return False
    if seen.is_recent and seen.count < rule.fewest:
        return False
    usual, _seen = _earlier_rates(seen.code, evidence)
    limit = max(rule.threshold, min(3 * usual, (1 + usual) / 2))
    # Within five minutes every retry of a member counts, so the test must be stricter.
    p_value = P_VALUE_WITH_REPEATS if seen.is_recent else P_VALUE
    return statistics.at_least(seen.count - seen.repeats, seen.operations - seen.repeats, limit) <= p_value


def _earlier_rates(code: str, evidence: Evidence) -> tuple[float, float]:
    """Return the refusal rate to expect of a code, and its rate in the stage before."""
    operations = sum(one.count for one in evidence.endings_before)
    refused = sum(one.count for one in evidence.endings_before if one.code == code)
    # After few operations, not even a code that never came is known to be rare.
    return (refused + 1) / (operations + 20), refused / operations if operations else 0.0


def broken_conversations(rule: Rule, evidence: Evidence) -> Finding | None:
    """Judge the conversations that break an invariant."""
    broken = {name: count for name, count in evidence.broken.items() if count}
    total = sum(broken.values())
    if total < rule.minimum:
        return None
    named = "; ".join(f"{INVARIANTS.get(name, name)} ({count})" for name, count in broken.items())
    return Finding(rule, f"V2 holds data that cannot be: {named}.", {"broken": broken, "total": total}, total)


def slow_calls(rule: Rule, evidence: Evidence) -> Finding | None:
    """Judge the slowest calls of five minutes."""
    seen = evidence.slow
    if seen.count < rule.minimum or seen.slowest_ms is None:
        return None
    calls = "A call" if seen.count == 1 else f"{seen.count} calls"
    ended = (
        "took over 5 seconds" if seen.slowest_ms > rule.threshold else "waited for the database until the time limit"
    )
    words = f"{calls} {ended} within 5 minutes; the slowest took {seen.slowest_ms / 1000:.1f} s."
    return Finding(rule, words, {"calls": seen.count, "slowest_ms": round(seen.slowest_ms)})


def connection_errors(rule: Rule, evidence: Evidence) -> Finding | None:
    """Judge the densest minute of the last five."""
    if evidence.connection_errors <= rule.threshold:
        return None
    words = f"The database could not be reached {evidence.connection_errors} times within one minute."
    return Finding(rule, words, {"errors": evidence.connection_errors, "codes": count_codes(evidence.endings)})


def error_rate(rule: Rule, evidence: Evidence) -> Finding | None:
    """Judge the failures of five minutes, in each version and in both."""
    found = [
        (seen.failures.share, group, seen)
        for group, seen in evidence.operations.items()
        if seen.failures.share is not None and seen.trials >= rule.minimum and seen.failed >= rule.fewest
    ]
    share, group, seen = max(found, default=(0.0, "", NOTHING), key=lambda one: one[0])
    if share <= rule.threshold:
        return None
    words = (
        f"{seen.failed} of {seen.trials} operations failed in {_group(group)} within 5 minutes: "
        f"{formatting.percent(share, up=True)}, over {formatting.percent(rule.threshold)}."
    )
    codes = count_codes(evidence.endings, version=None if group == "both" else group)
    figures = {"version": group, "failed": seen.failed, "operations": seen.trials, "codes": codes}
    return Finding(rule, words, figures)


def latency(rule: Rule, evidence: Evidence) -> Finding | None:
    """Judge how long sending took in five minutes, in each version and in both."""
    found = [
        (seen.p95_ms, group, seen.calls)
        for group, seen in evidence.sends.items()
        if seen.p95_ms is not None and seen.calls >= rule.minimum
    ]
    p95, group, calls = max(found, default=(0.0, "", 0), key=lambda one: one[0])
    if p95 <= rule.threshold:
        return None
    words = (
        f"The slowest twentieth of {calls} messages took {p95:.0f} ms or more to send in {_group(group)} within "
        f"5 minutes (p95), over {rule.threshold:.0f} ms."
    )
    return Finding(rule, words, {"version": group, "p95_ms": round(p95), "calls": calls})


def duplicates(rule: Rule, evidence: Evidence) -> Finding | None:
    """Judge the starts that found an existing conversation."""
    seen = evidence.duplicates
    share = seen.share
    if share is None or seen.denominator < rule.minimum or seen.numerator < rule.fewest or share <= rule.threshold:
        return None
    words = (
        f"{seen.numerator} of {seen.denominator} offers within 15 minutes met a conversation that stood already: "
        f"{formatting.percent(share, up=True)}, over {formatting.percent(rule.threshold)}."
    )
    return Finding(rule, words, {"duplicates": seen.numerator, "offers": seen.denominator})


def _group(group: str) -> str:
    return "either version" if group == "both" else group.upper()
