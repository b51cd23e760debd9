"""The table of alerts: each threshold of the playbook, and a healthy month without any alert."""

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from rollout.alerts.evidence import Evidence
from rollout.alerts.judges import INVARIANTS, LATEST_ENDINGS
from rollout.alerts.rules import RULES, evaluate_rules, is_known, rule_of
from rollout.gates.sequential import Detector
from rollout.models.alerts import Severity
from rollout.stages import DISABLED, Stage
from rollout.telemetry.metrics import NOTHING, Ending, Latency, LatestEnding, Outcomes, Proportion, SlowCalls
from rollout.telemetry.outcomes import Outcome
from tests.faults.scale import FULL

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BASE: dict[str, Any] = {"at": NOW, "stage": Stage.parse("percentage:10"), "stage_since": NOW}
DAY = 86_400.0


def busy(*month: int) -> Any:
    """A month with so many operations that `make test-fast` does without it."""
    return pytest.param(*month, marks=pytest.mark.slow)


def judged(**seen: Any) -> list[str]:
    return [finding.rule.kind for finding in evaluate_rules(Evidence(**{**BASE, **seen}))]


def outcomes(succeeded: int, failed: int, refused: int = 0) -> Outcomes:
    return Outcomes(succeeded=succeeded, failed=failed, refused=refused)


def test_nothing_seen_is_no_alarm() -> None:
    assert judged() == []


@pytest.mark.parametrize(("succeeded", "failed", "kinds"), [
    (0, 2, []),  # under the smallest sample
    (0, 3, ["creation_failing"]),
    (3, 2, []),  # two failures of five are chance
    (7, 3, ["creation_failing"]),
    (15, 4, ["creation_failing"]),  # 78.9%
    (12, 3, []),  # 80% exactly, and too few for a warning
    (18, 2, []),  # too few failures for a warning
    (17, 3, ["creation_low"]),
    (16, 4, ["creation_low"]),  # 80% exactly
    (94, 5, ["creation_low"]),  # 94.9%
    (95, 5, []),  # 95% exactly
    (0, 0, []),
    (20, 0, []),
])  # fmt: skip
def test_success_under_80_percent_is_critical_under_95_a_warning(succeeded: int, failed: int, kinds: list[str]) -> None:
    found = judged(starts=outcomes(succeeded, failed, refused=50))
    assert [kind for kind in found if kind != "creation_low" or "creation_failing" not in found] == kinds


@pytest.mark.parametrize(("calls", "kinds"), [(0, []), (1, ["slow_call"])])
def test_one_call_over_five_seconds_is_enough(calls: int, kinds: list[str]) -> None:
    assert judged(slow=SlowCalls(count=calls, calls=100, slowest_ms=5001.0 if calls else 4999.0)) == kinds


@pytest.mark.parametrize(("errors", "kinds"), [(10, []), (11, ["connection_errors"])])
def test_over_ten_connection_errors_in_a_minute_are_critical(errors: int, kinds: list[str]) -> None:
    assert judged(connection_errors=errors) == kinds


@pytest.mark.parametrize(("succeeded", "failed", "kinds"), [
    (95, 5, []),  # 5% exactly
    (94, 6, ["error_rate"]),
    (13, 6, []),  # 19 operations are too few
    (15, 5, ["error_rate"]),
    (16, 4, []),  # four failures are chance
])  # fmt: skip
def test_errors_over_5_percent_are_a_warning(succeeded: int, failed: int, kinds: list[str]) -> None:
    assert judged(operations={"v2": outcomes(succeeded, failed)}) == kinds


def test_one_versions_operations_do_not_hide_the_others_failures() -> None:
    seen = {"v1": outcomes(1000, 0), "v2": outcomes(30, 10), "both": outcomes(1030, 10)}
    (finding,) = evaluate_rules(Evidence(**BASE, operations=seen))
    assert finding.words == "10 of 40 operations failed in V2 within 5 minutes: 25%, over 5%."


@pytest.mark.parametrize(("p95", "calls", "kinds"), [
    (1000.0, 20, []), (1000.1, 20, ["latency"]), (4000.0, 19, []), (None, 0, []),
])  # fmt: skip
def test_p95_over_a_second_is_a_warning(p95: float | None, calls: int, kinds: list[str]) -> None:
    assert judged(sends={"v2": Latency(p95_ms=p95, calls=calls), "v1": Latency(p95_ms=90.0, calls=99)}) == kinds


@pytest.mark.parametrize(("duplicates", "offers", "kinds"), [
    (5, 50, []), (6, 50, ["duplicates"]), (6, 19, []), (4, 20, []), (0, 0, []),
])  # fmt: skip
def test_duplicates_over_10_percent_are_a_warning(duplicates: int, offers: int, kinds: list[str]) -> None:
    assert judged(duplicates=Proportion(duplicates, offers)) == kinds


def test_the_first_broken_conversation_is_critical_and_named() -> None:
    (finding,) = evaluate_rules(Evidence(**BASE, broken={"sender_takes_no_part": 2, "pair_has_two": 0}))
    assert (finding.rule.kind, finding.total) == ("integrity", 2)
    assert finding.words == "V2 holds data that cannot be: a message is from somebody who takes no part (2)."


def test_a_tripped_detector_is_critical() -> None:
    detector = Detector()
    for _failure in range(20):
        detector = detector.update(True)
    assert judged(detector=detector) == ["failures_in_sequence"]
    assert judged(detector=detector, stage=DISABLED) == []


def test_v2_goes_off_for_three_reasons_and_no_other() -> None:
    disabling = {rule.kind for rule in RULES if rule.disables_v2}
    assert disabling == {"integrity", "creation_failing", "failures_in_sequence"}
    assert all(rule.severity is Severity.CRITICAL for rule in RULES if rule.disables_v2)


def test_every_rule_has_its_words() -> None:
    assert len({rule.kind for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.title
        assert rule.condition
        assert rule.action.endswith(".")
        assert rule_of(rule.kind) is rule
        assert all(is_known(kind) for kind in rule.silenced_by)
    assert all(INVARIANTS.values())


@pytest.mark.parametrize(("per_day", "months"), [(60, 12), busy(400, 6 if FULL else 2), busy(3000, 2 if FULL else 1)])
def test_no_healthy_month_turns_v2_off_or_alerts_anybody(per_day: int, months: int) -> None:
    """Starts and sends come at random; one in 200 fails, and the last stage of the rollout lasts the whole month."""
    for month in range(months):
        for kinds, when in _live_through(random.Random(1000 * per_day + month), per_day=per_day):
            assert kinds == [], f"month {month}, day {when / DAY:.1f}"


def test_a_break_of_v2_is_noticed_at_the_first_failing_operations() -> None:
    first = next(
        (operation, kinds)
        for operation, (kinds, _when) in enumerate(_live_through(random.Random(7), per_day=400, failing=1.0))
        if kinds
    )
    assert first[0] < 6
    assert first[1][0] in {"creation_failing", "failures_in_sequence"}


@pytest.mark.parametrize("usual", [True, False])
@pytest.mark.parametrize(
    ("per_day", "members", "months"), [(20, 6, 24), (60, 25, 12), busy(400, 150, 6 if FULL else 2), busy(3000, 900, 1)]
)
def test_no_healthy_month_is_refused_more_than_before(per_day: int, members: int, months: int, usual: bool) -> None:
    """Members are refused now and then, and some try the same again and again."""
    before = (
        *[Ending("v1", "sendMessage", Outcome.SUCCESS, None, 970, 90)],
        *[Ending("v1", "sendMessage", Outcome.REFUSED, code, round(1000 * share), 9) for code, share in USUAL.items()],
    )
    for month in range(months):
        chance = random.Random(1000 * per_day + month)
        for seen, when in _refused_now_and_then(chance, per_day=per_day, members=members):
            kinds = judged(**seen, endings_before=before if usual else ())
            assert kinds == [], f"month {month}, day {when / DAY:.1f}"


USUAL = {"validation_error": 0.02, "help_request_unavailable": 0.015, "permission_denied": 0.005}


def _refused_now_and_then(chance: random.Random, *, per_day: int, members: int) -> Any:
    """Yield after every refusal of a month what the guard would then see; three in ten try again at once."""
    when, lately = 0.0, deque[LatestEnding](maxlen=1000)
    again: LatestEnding | None = None
    while when < 30 * DAY:
        when += chance.uniform(2, 20) if again else chance.expovariate(3 * per_day / DAY)
        if when % DAY > DAY / 3:
            when += DAY - when % DAY
        (code,) = chance.choices([*USUAL, None], [*USUAL.values(), 1 - sum(USUAL.values())])
        at, outcome = NOW + timedelta(seconds=when), Outcome.REFUSED if code else Outcome.SUCCESS
        ended = LatestEnding(at, outcome, code, UUID(int=chance.randrange(members)))
        ended = replace(again, at=at) if again else ended
        again = ended if ended.code and chance.random() < 0.3 else None
        lately.append(ended)
        if ended.code:
            latest = tuple(one for one in reversed(lately) if one.at > at - timedelta(days=7))[:LATEST_ENDINGS]
            yield (
                {
                    "latest": {"v2": latest, "both": latest},
                    "stage_endings": _counted(lately, at - timedelta(minutes=5)),
                },
                when,
            )


def _counted(lately: Any, since: datetime) -> tuple[Ending, ...]:
    members: dict[str | None, list[UUID | None]] = {}
    for one in lately:
        if one.at > since:
            members.setdefault(one.code, []).append(one.member)
    return tuple(
        Ending("v2", "sendMessage", Outcome.REFUSED if code else Outcome.SUCCESS, code, len(seen), len(set(seen)))
        for code, seen in members.items()
    )


def _live_through(chance: random.Random, *, per_day: int, failing: float = 0.005) -> Any:
    """Yield after every operation of a month which rules hold, judging what the guard would then see."""
    when, detector = 0.0, Detector()
    starts: deque[tuple[float, bool]] = deque()
    everything: deque[tuple[float, bool, float]] = deque()
    while when < 30 * DAY:
        # Busy days and dead nights: the same number in a third of the day.
        when += chance.expovariate(3 * per_day / DAY)
        if when % DAY > DAY / 3:
            when += DAY - when % DAY
        failed = chance.random() < failing
        detector = detector.update(failed)
        everything.append((when, failed, chance.lognormvariate(3.7, 0.6)))
        if chance.random() < 0.4:
            starts.append((when, failed))
        while everything and everything[0][0] < when - 300:
            everything.popleft()
        while starts and starts[0][0] < when - 300:
            starts.popleft()
        yield judged(**_seen(starts, everything, detector)), when


def _seen(starts: Any, everything: Any, detector: Detector) -> Mapping[str, Any]:
    failed_starts, failed = sum(one[1] for one in starts), sum(one[1] for one in everything)
    durations = sorted(one[2] for one in everything)
    p95 = Latency(p95_ms=durations[int(0.95 * (len(durations) - 1))] if durations else None, calls=len(durations))
    operations = outcomes(len(everything) - failed, failed) if everything else NOTHING
    return {
        "starts": outcomes(len(starts) - failed_starts, failed_starts),
        "operations": {"v2": operations, "both": operations},
        "sends": {"v2": p95},
        "slow": SlowCalls(count=0, calls=len(durations), slowest_ms=durations[-1] if durations else None),
        "detector": detector,
    }


def test_a_rate_beyond_its_limit_is_never_worded_as_the_limit() -> None:
    starts = outcomes(7999, 2001)
    found = {one.rule.kind: one.words for one in evaluate_rules(Evidence(**{**BASE, "starts": starts}))}
    assert "79.99% succeeded, under 80%" in found["creation_failing"]
    failing = evaluate_rules(Evidence(**{**BASE, "operations": {"v2": outcomes(94_999, 5001)}}))
    assert "5.01%, over 5%" in next(one.words for one in failing if one.rule.kind == "error_rate")
