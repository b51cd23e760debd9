"""What the control room says of a few operations, and against which target."""

from typing import Any

import pytest

from carecollective.accounts.models import User
from carecollective.formats.moments import moment
from rollout.dashboard.charts import draw_trend
from rollout.dashboard.schema import Figure, Health
from rollout.dashboard.status import read_status
from rollout.gates.criteria import evaluate_gates
from rollout.gates.results import CheckState, Observation
from rollout.models import Change, Flag
from rollout.stages import ENABLED, Stage

pytestmark = pytest.mark.django_db


def figure(name: str) -> Figure:
    return next(one for one in read_status().figures.figures if one.name == name)


@pytest.mark.parametrize(
    ("name", "target"),
    [("disabled", "99%"), ("internal", "95%"), ("percentage:10", "95%"), ("percentage:50", "97%"), ("enabled", "99%")],
)
def test_the_tile_asks_what_the_stages_gate_asks(name: str, target: str, stage: Any, happen: Any) -> None:
    stage(name)
    happen(5)
    assert figure("creation_success").target == f"> {target}"
    chart = draw_trend(read_status().figures.trend, stage=Stage.parse(name))["creation_success"]
    assert chart.target is not None
    assert chart.target.label == target


def test_a_share_that_the_gate_lets_pass_is_on_target(stage: Any, happen: Any) -> None:
    stage("internal")
    happen(100, failed=4)
    assert figure("creation_success").state == "pass"


def test_one_failure_of_one_is_chance_and_a_second_is_none(stage: Any, happen: Any, amina: User) -> None:
    stage("internal")
    happen(1, failed=1)
    status = read_status()
    assert status.health is Health.INSUFFICIENT
    assert figure("creation_success").state == "insufficient"
    assert figure("error_rate").state == "insufficient"
    happen(1, failed=1)
    assert read_status().health is Health.FAILING
    assert figure("creation_success").state == "fail"


def test_a_version_is_failing_only_when_it_cannot_be_chance(stage: Any, happen: Any) -> None:
    def top() -> tuple[str, str]:
        v2 = next(one for one in read_status().overview.served if one.version == "v2")
        return v2.state, v2.words

    stage("internal")
    happen(1, failed=1)
    assert top() == ("insufficient", "0 of 1")
    happen(1, failed=1)
    assert top() == ("fail", "0 of 2")
    happen(98)
    assert top() == ("pass", "98 of 100")


def test_a_third_of_the_starts_does_not_prove_that_v1_serves(stage: Any, happen: Any) -> None:
    stage("internal")
    stage("disabled")
    happen(3, version="v1", failed=2)
    since = read_status().overview.v1_since_rollback
    assert since is not None
    assert since.state == "insufficient"
    assert since.words == "Not known yet if V1 serves members: 2 of 3 starts failed so far."


def test_one_success_of_one_proves_nothing(stage: Any, happen: Any) -> None:
    stage("internal")
    happen(1)
    assert figure("creation_success").state == "insufficient"
    happen(19)
    assert figure("creation_success").state == "pass"


def test_the_record_shows_seconds_and_the_reason(stage: Any, signed_in: Any, ben: User) -> None:
    stage("internal")
    shown = signed_in(ben).get("/admin/rollout/change/").content.decode()
    change = Change.objects.latest("pk")
    assert moment(change.at, "second") in shown
    assert "Changed outside the application" in shown
    assert '<script type="module" src="/static/admin-rollout/local_times.js"></script>' in shown


def test_conversations_of_the_first_minute_are_not_denied(db: None) -> None:
    flag = Flag.objects.get()
    seen = Observation(now=flag.changed_at, since=flag.changed_at, creations_in_grace=400)
    (result,) = (one for one in evaluate_gates(stage=ENABLED, observation=seen) if one.name == "v1_creations")
    assert result.state is CheckState.INSUFFICIENT
    assert result.words.startswith("400 conversations began in this stage's first minute")
    assert evaluate_gates(stage=Stage.parse("disabled"), observation=seen) == ()
