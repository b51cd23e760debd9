"""A stand-in for gates and checklist, where a test is about what follows from them."""

import pytest

from rollout.promotion import readiness
from rollout.promotion.readiness import Blocker, Readiness
from rollout.stages import Stage


class StandInReadiness:
    missing: tuple[str, ...] = ()

    def judge(self, *, stage: Stage, target: Stage | None) -> Readiness:
        blockers = tuple(Blocker("gate", words) for words in self.missing)
        return Readiness(stage, target, 0.95, (), (), blockers)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> StandInReadiness:
    """All that a step asks for has been shown, until `shown.missing` says otherwise."""
    stand_in = StandInReadiness()
    monkeypatch.setattr(readiness, "judge", stand_in.judge)
    return stand_in
