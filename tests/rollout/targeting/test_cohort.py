from bisect import bisect_left
from random import Random
from uuid import UUID, uuid5

import pytest

from rollout.stages import BUCKETS, DISABLED, ENABLED, INTERNAL, Stage, StageKind
from rollout.targeting.cohort import MemberFacts, Reason, bucket, decide, v1_takes_writes
from rollout.targeting.state import MISSING, UNKNOWN, RolloutState
from rollout.versions import MessagingVersion

SALT = "7d1c0a52f0c64a3f"
SOMEBODY = UUID("6f0b7a54-5d6c-4b0b-9b9b-0b8f5a3c2d1e")
V1, V2 = MessagingVersion.V1, MessagingVersion.V2


def state(stage: Stage | str, *, v1_writes: bool = True, fresh: bool = True) -> RolloutState:
    stage = Stage.parse(stage) if isinstance(stage, str) else stage
    return RolloutState(stage=stage, v1_writes=v1_writes, salt=SALT, version=1, fresh=fresh)


def facts(*, is_staff: bool = False, is_tester: bool = False, member_id: UUID = SOMEBODY) -> MemberFacts:
    return MemberFacts(id=member_id, is_staff=is_staff, is_tester=is_tester)


# Its 1,000 steps of 0.1 stand at their own number: LADDER[281] is percentage:28.1.
STAGES = [
    state(stage)
    for stage in (INTERNAL, *(Stage(StageKind.PERCENTAGE, permille) for permille in range(1, 1001)), ENABLED)
]


def is_in(member_id: UUID, step: int) -> bool:
    return decide(state=STAGES[step], member=facts(member_id=member_id), override=None).version is V2


@pytest.fixture(scope="module")
def members() -> list[UUID]:
    return [uuid5(SOMEBODY, str(number)) for number in range(100_000)]


def test_a_members_bucket_never_changes() -> None:
    # A changed number here would deal all members anew in the middle of a rollout.
    assert bucket(member_id=SOMEBODY, salt=SALT) == 28_040
    assert bucket(member_id=SOMEBODY, salt="another") != bucket(member_id=SOMEBODY, salt=SALT)


def test_buckets_spread_members_evenly(members: list[UUID]) -> None:
    tenths = [0] * 100
    for member_id in members:
        tenths[bucket(member_id=member_id, salt=SALT) * 100 // BUCKETS] += 1
    chi_square = sum((seen - 1000) ** 2 / 1000 for seen in tenths)
    assert chi_square < 149  # 99 degrees of freedom, p = .001


def test_every_member_enters_at_one_step_and_stays_in(members: list[UUID]) -> None:
    """Ask for each of 100,000 members at the step before the one that lets them in, at that one, and at the one after."""
    wrong = []
    for member_id in members:
        entering = bucket(member_id=member_id, salt=SALT) // 100 + 1
        if is_in(member_id, entering - 1) or not (is_in(member_id, entering) and is_in(member_id, entering + 1)):
            wrong.append((member_id, entering))
    assert wrong == []


def test_no_member_leaves_when_the_percentage_rises(members: list[UUID]) -> None:
    """Ask at each of the 1,000 steps for 30 of all the members who are in by then, and for 10 of those who are not yet."""
    placed = sorted((bucket(member_id=member_id, salt=SALT), member_id) for member_id in members)
    chance, left, early = Random(1), [], []
    for permille in range(1, 1001):
        edge = bisect_left(placed, (permille * 100, UUID(int=0)))
        inside = {placed[chance.randrange(edge)] for _ in range(30)}
        waiting = {placed[chance.randrange(edge, len(placed))] for _ in range(10) if edge < len(placed)}
        left += [(place, permille) for place, member_id in inside if not is_in(member_id, permille)]
        early += [(place, permille) for place, member_id in waiting if is_in(member_id, permille)]
    assert (left, early) == ([], [])


def test_a_member_who_is_in_stays_in_at_every_higher_stage() -> None:
    for number in range(20):
        for is_staff, is_tester in ((False, False), (True, False), (False, True)):
            member = facts(member_id=uuid5(SOMEBODY, f"rising {number}"), is_staff=is_staff, is_tester=is_tester)
            up = [decide(state=known, member=member, override=None) for known in STAGES]
            down = [decide(state=known, member=member, override=None) for known in reversed(STAGES)]
            inside = [decision.version is V2 for decision in up]
            assert inside == sorted(inside)
            assert inside[-1]
            assert down == up[::-1]


# The somebody of these rows has bucket 28,040: in from 28.1% on.
@pytest.mark.parametrize(
    ("stage", "member", "version", "reason"),
    [
        ("disabled", facts(), V1, Reason.DISABLED),
        ("disabled", facts(is_staff=True, is_tester=True), V1, Reason.DISABLED),
        ("internal", facts(), V1, Reason.NOT_INTERNAL),
        ("internal", facts(is_staff=True), V2, Reason.STAFF),
        ("internal", facts(is_tester=True), V2, Reason.INTERNAL_TESTER),
        ("percentage:0.1", facts(), V1, Reason.OUT_OF_PERCENTAGE),
        ("percentage:0.1", facts(is_staff=True), V2, Reason.STAFF),
        ("percentage:0.1", facts(is_tester=True), V2, Reason.INTERNAL_TESTER),
        ("percentage:28", facts(), V1, Reason.OUT_OF_PERCENTAGE),
        ("percentage:28.1", facts(), V2, Reason.IN_PERCENTAGE),
        ("percentage:100", facts(), V2, Reason.IN_PERCENTAGE),
        ("enabled", facts(), V2, Reason.ENABLED),
        ("enabled", facts(is_staff=True), V2, Reason.ENABLED),
    ],
)
@pytest.mark.parametrize("v1_writes", [True, False])
def test_who_gets_which_version_and_why(
    stage: str, member: MemberFacts, version: MessagingVersion, reason: Reason, v1_writes: bool
) -> None:
    decision = decide(state=state(stage, v1_writes=v1_writes), member=member, override=None)
    if version is V1 and not v1_writes:
        assert (decision.version, decision.reason) == (None, Reason.V1_FROZEN)
    else:
        assert (decision.version, decision.reason) == (version, reason)
    assert decision.stage == Stage.parse(stage)


@pytest.mark.parametrize("stage", ["internal", "percentage:50", "percentage:100", "enabled"])
def test_the_environments_disabled_beats_every_stage_and_member(stage: str) -> None:
    member = facts(is_staff=True, is_tester=True)
    decision = decide(state=state(stage), member=member, override=DISABLED)
    assert (decision.version, decision.reason, decision.stage) == (V1, Reason.DISABLED_BY_ENVIRONMENT, DISABLED)


@pytest.mark.parametrize("override", [INTERNAL, ENABLED, Stage.parse("percentage:50")])
def test_any_other_stage_in_the_environment_overrides_nothing(override: Stage) -> None:
    assert decide(state=state("disabled"), member=facts(is_staff=True), override=override).version is V1
    assert decide(state=state("enabled"), member=facts(), override=override).version is V2


def test_a_stale_snapshot_means_v1_even_at_enabled() -> None:
    decision = decide(state=state("enabled", fresh=False), member=facts(is_staff=True), override=None)
    assert (decision.version, decision.reason) == (V1, Reason.STALE_SNAPSHOT)


def test_a_stale_snapshot_does_not_unfreeze_v1() -> None:
    decision = decide(state=state("enabled", v1_writes=False, fresh=False), member=facts(), override=None)
    assert (decision.version, decision.reason) == (None, Reason.V1_FROZEN)


@pytest.mark.parametrize("known", [UNKNOWN, MISSING])
def test_without_a_row_everybody_is_in_v1(known: RolloutState) -> None:
    assert decide(state=known, member=facts(is_staff=True, is_tester=True), override=None).version is V1


def test_the_environments_disabled_at_enabled_is_like_a_rollback() -> None:
    assert v1_takes_writes(state=state("enabled", v1_writes=False), override=DISABLED)
    assert decide(state=state("enabled", v1_writes=False), member=facts(), override=DISABLED).version is V1


def test_the_environments_disabled_keeps_paused_writes_paused() -> None:
    assert not v1_takes_writes(state=state("internal", v1_writes=False), override=DISABLED)
    assert decide(state=state("internal", v1_writes=False), member=facts(), override=DISABLED).version is None


def test_every_reason_has_a_sentence() -> None:
    assert all(reason.label.endswith(".") for reason in Reason)
