"""What the guard looks at, to the second and the millisecond: the windows and limits of the playbook's table."""

from collections.abc import Callable

import pytest

from rollout.alerts.evidence import Evidence
from rollout.guard.runner import gather
from tests.roles import as_role
from tests.rollout.conftest import Happened

At = Callable[..., None]
# Events only grow older while a test runs, so that the near side of a limit has seconds to spare and the far side none.
INSIDE_FIVE_MINUTES, OUTSIDE_FIVE_MINUTES = 290, 300
INSIDE_FIFTEEN_MINUTES, OUTSIDE_FIFTEEN_MINUTES = 890, 900


def gathered() -> Evidence:
    with as_role("guard"):
        return gather(broken={})


@pytest.fixture(autouse=True)
def for_an_hour(at: At) -> None:
    at("percentage:10")


@pytest.mark.parametrize(("seconds_ago", "seen"), [(INSIDE_FIVE_MINUTES, 1), (OUTSIDE_FIVE_MINUTES, 0)])
def test_starts_sends_and_slow_calls_are_those_of_five_minutes(
    happened: Happened, seconds_ago: float, seen: int
) -> None:
    happened(level="error", seconds_ago=seconds_ago)
    happened(method="sendMessage", version="v1", ms=5200.0, seconds_ago=seconds_ago)
    found = gathered()
    assert (found.starts.failed, found.starts.trials) == (seen, seen)
    assert {name: group.trials for name, group in found.operations.items()} == {
        "v1": seen, "v2": seen, "both": 2 * seen,
    }  # fmt: skip
    assert {name: group.calls for name, group in found.sends.items()} == {"v1": seen, "v2": 0, "both": seen}
    assert (found.slow.count, found.slow.calls) == (seen, 2 * seen)


@pytest.mark.parametrize(("seconds_ago", "seen"), [(INSIDE_FIFTEEN_MINUTES, 1), (OUTSIDE_FIFTEEN_MINUTES, 0)])
def test_duplicates_are_those_of_fifteen_minutes(happened: Happened, seconds_ago: float, seen: int) -> None:
    happened(level="warn", code="conversation_exists", seconds_ago=seconds_ago)
    happened(seconds_ago=seconds_ago)
    found = gathered().duplicates
    assert (found.numerator, found.denominator) == (seen, 2 * seen)


@pytest.mark.parametrize(("ms", "slow"), [(4999.9, 0), (5000.0, 0), (5000.1, 1)])
def test_a_call_is_slow_from_just_over_five_seconds(happened: Happened, ms: float, slow: int) -> None:
    happened(ms=ms)
    assert gathered().slow.count == slow


@pytest.mark.parametrize(("apart", "densest"), [(59, 2), (62, 1)])
def test_connection_errors_are_counted_by_the_minute(happened: Happened, apart: float, densest: int) -> None:
    happened(3, level="error", version=None, connection_error=True, apart=apart)
    assert gathered().connection_errors == densest


@pytest.mark.parametrize(("seconds_ago", "densest"), [(INSIDE_FIVE_MINUTES, 4), (OUTSIDE_FIVE_MINUTES, 2)])
def test_the_densest_minute_is_that_of_the_last_five(happened: Happened, seconds_ago: float, densest: int) -> None:
    happened(4, level="error", version=None, connection_error=True, seconds_ago=seconds_ago)
    happened(2, level="error", version=None, connection_error=True)
    assert gathered().connection_errors == densest


def test_a_stage_is_judged_from_its_start_and_by_5_minutes_at_most(at: At, happened: Happened) -> None:
    happened(1, level="error", seconds_ago=INSIDE_FIVE_MINUTES)
    happened(2, level="error", seconds_ago=70)
    happened(4, level="error", seconds_ago=40)
    assert gathered().starts.failed == 7
    at("percentage:50", began_seconds_ago=60)
    found = gathered()
    assert found.starts.failed == 4
    assert found.operations["v2"].failed == 7
