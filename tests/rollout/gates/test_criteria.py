from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.gates.criteria import criteria_for, evaluate_gates
from rollout.gates.results import Baseline, CheckState, GateResult, Measure, Observation, SeenMembers, Timings
from rollout.stages import STAGES, Stage
from rollout.telemetry.metrics import Outcomes, Proportion

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PASS, FAIL, INSUFFICIENT = CheckState.PASS, CheckState.FAIL, CheckState.INSUFFICIENT
TEN = Stage.parse("percentage:10")


def judge(stage: str, *, days: float = 30, confidence: float = 0.95, **seen: Any) -> dict[str, GateResult]:
    observation = Observation(now=NOW, since=NOW - timedelta(days=days), **seen)
    results = evaluate_gates(stage=Stage.parse(stage), observation=observation, confidence=confidence)
    return {result.name: result for result in results}


def judge_starts(stage: str, successes: int, failures: int = 0, *, refusals: int = 0, today: int = 0) -> GateResult:
    return judge(stage, starts=Outcomes(successes, failures, refusals), starts_today=today)["success"]


@pytest.mark.parametrize(
    ("stage", "criteria"),
    [
        ("disabled", {}),
        ("internal", {"success": 0.95, "latency": 500, "bake": 3}),
        ("percentage:10", {"success": 0.95, "errors": 0.01, "bake": 3}),
        ("percentage:50", {"success": 0.97, "latency_trend": 0.95, "bake": 7}),
        ("enabled", {"success": 0.99, "v1_creations": 0, "bake": 14}),
    ],
)
def test_each_stage_asks_what_the_playbook_asks(stage, criteria):
    assert {c.measure.value: c.limit for c in criteria_for(Stage.parse(stage))} == criteria


@pytest.mark.parametrize(
    ("between", "stage"),
    [
        ("percentage:0.1", "internal"),
        ("percentage:9.9", "internal"),
        ("percentage:25", "percentage:10"),
        ("percentage:75.5", "percentage:50"),
        ("percentage:100", "percentage:50"),
    ],
)
def test_a_percentage_between_two_stages_belongs_to_the_lower_one(between, stage):
    assert criteria_for(Stage.parse(between)) == criteria_for(Stage.parse(stage))


@pytest.mark.parametrize("stage", STAGES[1:], ids=str)
def test_no_data_never_passes_whatever_the_stage(stage):
    results = evaluate_gates(stage=stage, observation=Observation(now=NOW, since=NOW - timedelta(days=365)))
    assert [result.name for result in results if result.passed] == ["bake"]
    assert all(result.state is INSUFFICIENT for result in results if result.name != "bake")
    assert any(result.blocks for result in results)


@pytest.mark.parametrize(
    ("stage", "enough"), [("internal", 59), ("percentage:10", 59), ("percentage:50", 99), ("enabled", 299)]
)
def test_clean_starts_pass_from_the_exact_number_on(stage, enough):
    assert judge_starts(stage, enough).state is PASS
    almost = judge_starts(stage, enough - 1)
    assert (almost.state, almost.seen, almost.needed) == (INSUFFICIENT, enough - 1, enough)
    assert "1 more start without a failure" in almost.words


def test_one_success_of_one_and_none_of_one_are_both_not_enough():
    assert judge_starts("internal", 1).state is INSUFFICIENT
    assert judge_starts("internal", 0, 1).state is INSUFFICIENT


def test_a_failure_raises_what_is_needed():
    assert judge_starts("internal", 58, 1).needed == 93
    assert judge_starts("internal", 92, 1).state is PASS


def test_a_low_rate_that_is_proven_fails_before_59_starts():
    assert judge_starts("internal", 3, 3).state is FAIL
    assert judge_starts("internal", 5, 2).state is FAIL


def test_a_low_rate_fails_once_as_many_clean_starts_would_pass():
    assert judge_starts("internal", 55, 3).state is INSUFFICIENT
    assert judge_starts("internal", 56, 3).state is FAIL


def test_what_failed_passes_later_when_enough_went_well():
    assert judge_starts("internal", 56, 3).state is FAIL
    assert judge_starts("internal", 1000, 3).state is PASS


def test_a_higher_confidence_asks_for_more():
    starts = Outcomes(succeeded=60)
    assert judge("internal", starts=starts)["success"].state is PASS
    stricter = judge("internal", starts=starts, confidence=0.99)["success"]
    assert (stricter.state, stricter.needed) == (INSUFFICIENT, 90)
    assert stricter.figures["confidence"] == 0.99


def test_the_members_own_refusals_count_as_neither_and_are_said():
    with_refusals = judge_starts("internal", 59, refusals=40)
    assert with_refusals.state is PASS
    assert with_refusals.seen == 59
    assert "40 refusals that were the members' own doing count as neither" in with_refusals.words
    assert "refusal" not in judge_starts("internal", 59).words


def test_the_date_follows_todays_traffic():
    result = judge_starts("internal", 35, today=12)
    assert result.needed - result.seen == 24
    assert result.expected_at == NOW + timedelta(days=2)
    assert result.eta_seconds == pytest.approx(2 * 86_400)
    assert "24 Nov 2026, 12:00 UTC" in result.words


def test_without_traffic_no_date_is_invented():
    result = judge_starts("internal", 35)
    assert result.expected_at is None
    assert "none came in the last 24 hours" in result.words


def test_traffic_too_thin_for_a_calendar_names_no_date():
    result = judge_starts("internal", 9_600, 400, today=1)
    assert result.expected_at is None or result.expected_at.year < 2050


def test_a_pass_names_no_date():
    assert judge_starts("internal", 59, today=12).expected_at is None


@pytest.mark.parametrize(
    ("within", "calls", "state"),
    [(59, 59, PASS), (58, 58, INSUFFICIENT), (58, 59, INSUFFICIENT), (92, 93, PASS), (80, 100, FAIL)],
)
def test_p95_passes_when_over_95_percent_are_proven_below_500_ms(within, calls, state):
    result = judge("internal", sends=Timings(calls=calls, within=within, p95_ms=480.0))["latency"]
    assert result.state is state
    assert "p95 480 ms" in result.words
    assert result.figures["limit_ms"] == 500


@pytest.mark.parametrize(
    ("failures", "operations", "state"),
    [(0, 299, PASS), (0, 298, INSUFFICIENT), (1, 299, INSUFFICIENT), (1, 473, PASS), (8, 400, FAIL)],
)
def test_errors_are_surely_under_one_percent_of_all_operations(failures, operations, state):
    outcomes = Outcomes(succeeded=operations - failures, failed=failures)
    result = judge("percentage:10", operations=outcomes)["errors"]
    assert result.state is state
    assert "less than 1% is asked" in result.words


def judge_trend(*, within: int, calls: int = 400) -> GateResult:
    baseline = Baseline(stage=TEN, calls=300, p95_ms=110.0, limit_ms=118.0, within=within, trials=calls)
    sends = Timings(calls=calls, within=calls, p95_ms=120.0)
    return judge("percentage:50", sends=sends, baseline=baseline)["latency_trend"]


def test_slower_than_the_stage_before_fails_only_when_surely_so():
    assert judge_trend(within=380).state is PASS
    assert judge_trend(within=374).state is PASS
    slower = judge_trend(within=370)
    assert slower.state is FAIL
    assert "; slower than at percentage:10" in slower.words


def test_too_few_messages_compare_with_nothing():
    few_now = judge_trend(within=58, calls=58)
    assert (few_now.state, few_now.needed) == (INSUFFICIENT, 59)
    few_before = judge("percentage:50", sends=Timings(calls=400), baseline=Baseline(stage=TEN, calls=12, p95_ms=9.0))
    assert few_before["latency_trend"].state is INSUFFICIENT
    assert judge("percentage:50", sends=Timings(calls=400))["latency_trend"].state is INSUFFICIENT


@pytest.mark.parametrize(("v1", "both", "state"), [(0, 0, INSUFFICIENT), (0, 1, PASS), (1, 500, FAIL)])
def test_enabled_asks_that_nothing_begins_in_v1(v1, both, state):
    assert judge("enabled", v1_creations=Proportion(v1, both))["v1_creations"].state is state


@pytest.mark.parametrize(
    ("stage", "days"), [("internal", 3), ("percentage:10", 3), ("percentage:50", 7), ("enabled", 14)]
)
def test_a_stage_lasts_as_many_days_as_asked(stage, days):
    early = judge(stage, days=days - 0.01)["bake"]
    assert early.state is INSUFFICIENT
    assert early.expected_at == NOW + timedelta(days=0.01)
    assert early.eta_seconds == pytest.approx(864)
    assert judge(stage, days=days)["bake"].state is PASS


def test_a_stage_whose_beginning_is_unknown_has_not_lasted():
    results = evaluate_gates(stage=TEN, observation=Observation(now=NOW, since=None))
    (bake,) = (result for result in results if result.name == Measure.BAKE)
    assert bake.state is INSUFFICIENT


def judge_sample_ratio(stage: str, **seen: int) -> GateResult:
    return judge(stage, members=SeenMembers(**seen))["exposure"]


def test_members_in_the_right_share_are_balanced():
    assert judge_sample_ratio("percentage:10", in_v2=22, in_v1=180).state is PASS
    assert judge_sample_ratio("percentage:50", in_v2=40, in_v1=60).state is PASS


def test_a_share_that_chance_would_not_give_blocks():
    result = judge_sample_ratio("percentage:50", in_v2=30, in_v1=70)
    assert result.state is FAIL
    assert result.blocks
    assert result.figures["p_value"] < 0.001
    assert result.figures["statistic"] == pytest.approx(16.0)


def test_members_in_the_wrong_version_block_at_the_right_ratio():
    assert judge_sample_ratio("percentage:50", in_v2=50, in_v1=50, misplaced=50).state is FAIL
    assert judge_sample_ratio("percentage:50", in_v2=50, in_v1=50, misplaced=1).state is PASS


def test_too_few_members_are_said_and_keep_nobody_waiting():
    result = judge_sample_ratio("percentage:10", in_v2=1, in_v1=20)
    assert (result.state, result.needed, result.blocks) == (INSUFFICIENT, 50, False)
    assert "For information; blocks nothing." in result.words


def test_the_sample_ratio_is_asked_of_percentages_only():
    assert "exposure" not in judge("internal")
    assert "exposure" not in judge("enabled")
    assert judge_sample_ratio("percentage:100", in_v2=20).state is PASS


def test_a_healthy_stage_passes_in_every_point():
    results = judge(
        "percentage:50",
        starts=Outcomes(succeeded=120),
        operations=Outcomes(succeeded=500),
        sends=Timings(calls=380, within=380, p95_ms=90.0),
        baseline=Baseline(stage=TEN, calls=300, p95_ms=95.0, limit_ms=104.0, within=370, trials=380),
        members=SeenMembers(in_v2=30, in_v1=28),
    )
    assert not any(result.blocks for result in results.values())
    assert all(result.passed for result in results.values())


@given(successes=st.integers(0, 2_000), failures=st.integers(0, 200))
@settings(max_examples=150, deadline=None)
def test_a_success_never_worsens_and_a_failure_never_improves_it(successes, failures):
    order = [FAIL, INSUFFICIENT, PASS]
    now, better, worse = (
        order.index(judge_starts("percentage:50", *counts).state)
        for counts in ((successes, failures), (successes + 1, failures), (successes, failures + 1))
    )
    # At the very number from which a bad rate fails, one success more may be the 99th trial.
    assert better >= now or successes + failures + 1 == 99
    assert worse <= now


@given(successes=st.integers(0, 500), failures=st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_what_is_needed_is_exactly_enough(successes, failures):
    result = judge_starts("percentage:50", successes, failures)
    if result.state is INSUFFICIENT:
        missing = result.needed - result.seen
        assert missing > 0
        assert judge_starts("percentage:50", successes + missing, failures).state is PASS
        assert judge_starts("percentage:50", successes + missing - 1, failures).state is not PASS


def test_words_never_flatter():
    assert "(99.99%)" in judge_starts("internal", 99_999, 1).words
    errors = judge("percentage:10", operations=Outcomes(succeeded=99_999, failed=1))["errors"]
    assert "(0.01%)" in errors.words
