import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.stages import DISABLED, ENABLED, INTERNAL, STAGES, Stage, StageKind, next_stage, order_key, skipped_stages


def percentage(permille: int) -> Stage:
    return Stage(StageKind.PERCENTAGE, permille)


@given(st.integers(1, 1000))
def test_each_stage_is_read_back_from_its_one_spelling(permille: int) -> None:
    assert Stage.parse(str(percentage(permille))) == percentage(permille)


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("disabled", DISABLED),
        (" internal\n", INTERNAL),
        ("enabled", ENABLED),
        ("percentage:0.1", percentage(1)),
        ("percentage:10", percentage(100)),
        ("percentage:10.0", percentage(100)),
        ("percentage:33.3", percentage(333)),
        ("percentage:100", percentage(1000)),
    ],
)
def test_a_stage_is_read_with_white_space_around_it(text: str, stage: Stage) -> None:
    assert Stage.parse(text) == stage


@pytest.mark.parametrize(
    "text",
    [
        "",
        "true",
        "Enabled",
        "percentage",
        "percentage:",
        "percentage:0",
        "percentage:0.0",
        "percentage:100.1",
        "percentage:101",
        "percentage:-1",
        "percentage:10.55",
        "percentage:1e1",
        "percentage:٣",
        "percentage: 10",
        "internal,enabled",
        "on",
    ],
)
def test_what_is_not_a_stage_is_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(ValueError, match="use disabled, internal, percentage:N"):
        Stage.parse(text)


def test_the_ladder_rises() -> None:
    assert sorted(STAGES, key=order_key) == list(STAGES)
    assert [next_stage(stage) for stage in STAGES] == [*STAGES[1:], None]
    assert next_stage(percentage(250)) == percentage(500)


@pytest.mark.parametrize(
    ("before", "after", "skipped"),
    [
        ("disabled", "internal", []),
        ("disabled", "percentage:5", ["internal"]),
        ("internal", "percentage:5", []),
        ("internal", "percentage:10", []),
        ("internal", "percentage:20", ["percentage:10"]),
        ("percentage:5", "percentage:50", ["percentage:10"]),
        ("percentage:10", "percentage:50", []),
        ("percentage:30", "enabled", ["percentage:50"]),
        ("percentage:50", "percentage:100", []),
        ("percentage:100", "enabled", []),
        ("disabled", "enabled", ["internal", "percentage:10", "percentage:50"]),
        ("enabled", "internal", []),
        ("percentage:50", "disabled", []),
    ],
)
def test_a_step_up_skips_the_rungs_between_and_a_step_down_none(before: str, after: str, skipped: list[str]) -> None:
    assert [str(stage) for stage in skipped_stages(Stage.parse(before), Stage.parse(after))] == skipped
