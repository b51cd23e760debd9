"""What the playbook asks people of each stage, in which role, and for which release."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from pytest_django import Settings

from carecollective.accounts.models import User
from carecollective.formats.moments import moment
from rollout import releases
from rollout.dashboard.status import read_status
from rollout.errors import ItemUnknown, RoleMissing, SignedTooEarly
from rollout.models import Flag, SignOff, Source
from rollout.promotion import checklist, readiness
from rollout.promotion.checklist import STAGE_ITEMS, judge_checklist
from rollout.promotion.services import roll_back
from rollout.promotion.sign_offs import ENGINEERING, PRODUCT, sign
from rollout.stages import Stage

pytestmark = pytest.mark.django_db

Lasted = Callable[..., datetime]

ASKED = {
    "disabled": [],
    "internal": ["no_critical_bugs", "team_approval"],
    "percentage:10": ["no_complaints"],
    "percentage:25": ["no_complaints"],
    "percentage:50": ["positive_feedback"],
    "enabled": ["no_critical_bugs"],
}


@pytest.fixture
def lasted(stage: Any, past_the_triggers: Any) -> Lasted:
    """Put the rollout at a stage that began so many days ago, unless it is there already; return when it began."""

    def put(name: str, *, days: int) -> datetime:
        if Flag.objects.get().stage != name:
            stage(name)
        with past_the_triggers() as cursor:
            cursor.execute(
                "UPDATE rollout_change SET at = clock_timestamp() - make_interval(days => %s)"
                " WHERE id = (SELECT max(id) FROM rollout_change) RETURNING at",
                [days],
            )
            began: datetime = cursor.fetchone()[0]
        return began

    return put


def open_at(name: str) -> list[str]:
    found = readiness.judge(stage=Stage.parse(name), target=Stage.parse("enabled"))
    return [blocker.words for blocker in found.blockers if blocker.kind == "sign_off"]


@pytest.mark.parametrize(("name", "asked"), ASKED.items())
def test_each_stage_asks_what_the_playbook_asks(name: str, asked: list[str], stage: Any) -> None:
    stage(name)
    items = read_status().stage_sign_offs
    assert [item.name.split("/")[1] for item in items] == asked
    assert len(open_at(name)) == len(asked)


def test_they_stand_in_the_way_until_they_are_signed(lasted: Lasted, ben: User) -> None:
    lasted("internal", days=3)
    assert len(open_at("internal")) == 2
    for item in STAGE_ITEMS[Stage.parse("internal")]:
        sign(actor=ben, item=item.name)
    assert open_at("internal") == []


def test_a_stage_entered_again_is_signed_for_again(lasted: Lasted, ben: User, amina: User, stage: Any) -> None:
    lasted("internal", days=3)
    sign(actor=ben, item="internal/team_approval")
    stage("percentage:10")
    lasted("internal", days=0)
    assert len(open_at("internal")) == 2
    lasted("internal", days=3)
    assert len(open_at("internal")) == 2
    sign(actor=ben, item="internal/team_approval")
    roll_back(actor=amina, reason="Errors", source=Source.ADMIN)
    stage("internal")
    assert len(open_at("internal")) == 2


@pytest.mark.parametrize(("name", "days", "item"), [
    ("internal", 3, "internal/no_critical_bugs"),
    ("percentage:25", 3, "percentage:10/no_complaints"),
    ("percentage:50", 7, "percentage:50/positive_feedback"),
    ("enabled", 14, "enabled/no_critical_bugs"),
])  # fmt: skip
def test_a_stage_is_vouched_for_once_it_has_lasted(
    name: str, days: int, item: str, lasted: Lasted, stage: Any, ben: User, signed_in: Any
) -> None:
    opens_at = lasted(name, days=days - 1) + timedelta(days=days)
    sentence = f"It can be signed from {moment(opens_at, up=True)}."
    shown = next(one for one in read_status().stage_sign_offs if one.name == item)
    assert (shown.parts, shown.words) == ((), f"Still to be signed. {sentence}")
    with pytest.raises(SignedTooEarly) as refusal:
        sign(actor=ben, item=item)
    assert str(refusal.value.message) == sentence
    assert signed_in(ben).post("/admin/rollout/", {"action": "sign", "item": item, "part": ""}).status_code == 409
    assert not SignOff.objects.exists()
    lasted(name, days=days)
    assert sign(actor=ben, item=item).item == item


@pytest.mark.parametrize("name", ["disabled", "percentage:10", "enabled"])
def test_only_the_present_stage_is_signed_for(name: str, stage: Any, ben: User) -> None:
    stage(name)
    with pytest.raises(ItemUnknown):
        sign(actor=ben, item="internal/team_approval")
    assert not SignOff.objects.exists()


def test_a_role_is_signed_by_who_holds_it(ben: User, amina: User) -> None:
    ben.groups.remove(Group.objects.get(name="Product owner"))
    with pytest.raises(RoleMissing) as refusal:
        sign(actor=ben, item="stakeholders", part=PRODUCT)
    assert str(refusal.value.message) == "Only the product owner signs this."
    assert not SignOff.objects.exists()
    signed = sign(actor=ben, item="stakeholders", part=ENGINEERING)
    assert (signed.role, sign(actor=amina, item="stakeholders", part=PRODUCT).role) == (ENGINEERING, PRODUCT)


def test_where_nobody_holds_a_role_the_page_says_what_to_do(ben: User) -> None:
    User.objects.get(pk=ben.pk).groups.remove(Group.objects.get(name="Product owner"))
    item = next(one for one in judge_checklist() if one.name == "stakeholders")
    assert "Nobody is product owner yet: put a staff member into the group “Product owner”." in item.words
    assert "engineering lead yet" not in item.words


def test_a_signature_names_its_role_and_its_release(ben: User, settings: Settings) -> None:
    settings.RELEASE = "2026.11"
    releases.current_release.cache_clear()
    ben.groups.set(Group.objects.filter(name="Rollout operators"))
    signed = sign(actor=ben, item="unit_tests")
    releases.current_release.cache_clear()
    assert (signed.role, signed.release) == ("", "2026.11")
    item = next(one for one in judge_checklist() if one.name == "unit_tests")
    assert "Signed by Ben (staff) at" in item.words
    assert item.words.endswith("for release 2026.11.")


def test_the_release_is_the_commit_unless_it_is_named(settings: Settings) -> None:
    import subprocess

    settings.RELEASE = ""
    releases.current_release.cache_clear()
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=settings.BASE_DIR, capture_output=True, text=True, check=False
    ).stdout
    assert commit.startswith(releases.current_release()) or releases.current_release() == "unknown"
    assert releases.current_release()
    releases.current_release.cache_clear()


def test_where_there_is_no_commit_it_is_unknown(settings: Settings, tmp_path: Any) -> None:
    settings.RELEASE, settings.BASE_DIR = "", tmp_path
    releases.current_release.cache_clear()
    assert releases.current_release() == "unknown"
    releases.current_release.cache_clear()


def test_the_sign_offs_stand_on_the_page_and_are_signed_there(lasted: Lasted, ben: User, signed_in: Any) -> None:
    lasted("percentage:10", days=3)
    client = signed_in(ben)
    assert "No member complains of failures" in client.get("/admin/rollout/").content.decode()
    answer = client.post("/admin/rollout/", {"action": "sign", "item": "percentage:10/no_complaints", "part": ""})
    assert answer.status_code == 302
    assert SignOff.objects.get().item == "percentage:10/no_complaints"
    assert checklist.ITEMS[0].name == "schema"
