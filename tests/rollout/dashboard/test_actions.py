"""What the control room's buttons do, for whom, and what is kept when they are refused."""

import re
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from rollout.models import Change, DrainCertificate, Flag, Proposal, ProposalState, RootCause, SignOff
from rollout.promotion import checklist
from rollout.promotion.root_causes import list_due
from rollout.targeting.state import FLAG_NAME
from tests.rollout.dashboard.conftest import PAGE, count, stage_now, text_of

pytestmark = pytest.mark.django_db

TABLES = ("rollout_change", "rollout_proposal", "rollout_sign_off", "rollout_drain_certificate")
TYPED = "Because <b> it is & stays so"


@pytest.fixture
def press(signed_in):
    """Press a button: `press(ben, "propose", stage="internal")`."""

    def post(user, action, **fields):
        return signed_in(user).post(PAGE, {"action": action, "reason": TYPED, **fields})

    return post


@pytest.fixture
def footprint():
    return lambda: [*(count(table) for table in TABLES), stage_now(), RootCause.objects.exclude(filed_at=None).count()]


def said(response):
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def test_a_step_takes_two_people(press, ben, amina, shown):
    proposed = press(ben, "propose", stage="internal")
    assert (proposed.status_code, proposed.headers["Location"]) == (302, PAGE)
    assert "Internal is proposed." in said(proposed)
    number = Proposal.objects.get().pk
    assert press(ben, "approve", proposal=number).status_code == 403
    assert stage_now() == "disabled"
    approved = press(amina, "approve", proposal=number)
    assert approved.status_code == 302
    assert "The rollout is now at Internal." in said(approved)
    assert stage_now() == "internal"
    assert Change.objects.latest("pk").actor_id == amina.pk


def test_the_proposer_sees_withdraw_and_the_second_person_approve(press, signed_in, ben, amina, shown):
    press(ben, "propose", stage="internal")
    own, others = (signed_in(user).get(PAGE).content.decode() for user in (ben, amina))
    assert ('value="withdraw"' in own, 'value="approve"' in own, 'value="propose"' in own) == (True, False, False)
    assert ('value="withdraw"' in others, 'value="approve"' in others) == (False, True)
    assert "Because &lt;b&gt; it is &amp; stays so" in others


def test_a_proposal_is_withdrawn_or_refused_with_a_reason(press, ben, amina, shown):
    press(ben, "propose", stage="internal")
    press(ben, "withdraw", proposal=Proposal.objects.latest("pk").pk)
    assert Proposal.objects.latest("pk").state == ProposalState.WITHDRAWN
    press(ben, "propose", stage="internal")
    number = Proposal.objects.latest("pk").pk
    refused = press(amina, "refuse", proposal=number, reason=" ")
    assert refused.status_code == 400
    assert f'id="refuse-{number}-reason-error"' in refused.content.decode()
    press(amina, "refuse", proposal=number)
    assert Proposal.objects.latest("pk").decision_reason == TYPED


def test_a_stale_proposal_says_so_and_cannot_be_approved(press, signed_in, ben, amina, shown, stage):
    press(ben, "propose", stage="internal")
    stage("internal")
    page = signed_in(amina).get(PAGE)
    assert "Overtaken: Internal" in text_of(page)
    assert 'value="approve"' not in page.content.decode()
    assert press(amina, "approve", proposal=Proposal.objects.get().pk).status_code == 409
    assert Proposal.objects.get().state == ProposalState.STALE


def test_a_premature_step_names_what_is_missing_and_keeps_the_input(press, signed_in, ben, shown, footprint):
    shown.missing = ("The tests have not been signed for.", "Too few starts were seen.")
    assert 'value="propose"' not in signed_in(ben).get(PAGE).content.decode()
    before = footprint()
    refused = press(ben, "propose", stage="another", percentage="2,5")
    assert refused.status_code == 409
    assert all(sentence in text_of(refused) for sentence in shown.missing)
    assert "Because &lt;b&gt; it is &amp; stays so</textarea>" in refused.content.decode()
    assert 'value="2,5"' in refused.content.decode()
    assert footprint() == before


def test_a_typed_percentage_is_proposed(press, ben, shown, stage):
    stage("internal")
    press(ben, "propose", stage="another", percentage=" 2,5 % ")
    assert Proposal.objects.get().to_stage == "percentage:2.5"


@pytest.mark.parametrize("typed", ["", "0", "101", "abc", "1e1", "-1", "10.55"])
def test_a_percentage_that_is_none_is_refused_next_to_its_field(typed, press, ben, shown, stage, footprint):
    stage("internal")
    before = footprint()
    refused = press(ben, "propose", stage="another", percentage=typed)
    html = refused.content.decode()
    assert refused.status_code == 400
    assert f'value="{typed}"' in html
    assert 'id="propose-percentage-error"' in html
    assert re.search(r'value="another" id="propose-stage-another" checked', html)
    assert footprint() == before


@pytest.mark.parametrize(
    "fields", [{}, {"action": ""}, {"action": "nonsense"}, {"action": "propose"}, {"action": "override", "stage": "x"}]
)
def test_a_post_without_a_button_or_a_stage_is_refused(fields, signed_in, admin, shown, footprint):
    before = footprint()
    assert signed_in(admin).post(PAGE, {"reason": TYPED, **fields}).status_code == 400
    assert footprint() == before


@pytest.mark.parametrize("number", ["", "x", "0", "-1", "99999999999999999999999", "١"])
@pytest.mark.parametrize("action", ["approve", "refuse", "withdraw"])
def test_a_proposal_that_is_not_there_is_refused(number, action, press, ben, footprint):
    before = footprint()
    assert press(ben, action, proposal=number).status_code == 404
    assert footprint() == before


def test_a_step_from_a_page_that_shows_an_earlier_state_is_refused(press, ben, admin, shown, stage, footprint):
    seen = Flag.objects.get(name=FLAG_NAME).version
    stage("percentage:10")
    before = footprint()
    for user, action, fields in (
        (ben, "propose", {"stage": "percentage:50"}),
        (admin, "override", {"stage": "enabled"}),
        (ben, "step_down", {"stage": "internal"}),
        (ben, "v1_writes", {"on": "no"}),
    ):
        refused = press(user, action, version=seen, **fields)
        assert refused.status_code == 409
        assert "The rollout has changed since this page was shown." in text_of(refused)
    assert footprint() == before


def test_only_superusers_override_and_the_page_shows_it(press, signed_in, ben, admin):
    assert 'value="override"' not in signed_in(ben).get(PAGE).content.decode()
    assert press(ben, "override", stage="percentage:50").status_code == 403
    assert stage_now() == "disabled"
    assert 'value="override"' in signed_in(admin).get(PAGE).content.decode()
    assert press(admin, "override", stage="percentage:50").status_code == 302
    assert stage_now() == "percentage:50"
    assert "Override" in text_of(signed_in(ben).get(PAGE))


def test_one_person_rolls_back_with_a_reason_whatever_is_pending(press, signed_in, ben, shown, stage):
    stage("percentage:50", v1_writes=False)
    press(ben, "propose", stage="enabled")
    rolled = press(ben, "roll_back", version="1")
    assert rolled.status_code == 302
    assert "Rolled back: V2 is off for everybody" in said(rolled)
    flag = Flag.objects.get(name=FLAG_NAME)
    assert (flag.stage, flag.v1_writes) == ("disabled", True)
    assert (Change.objects.latest("pk").source, Change.objects.latest("pk").reason) == ("admin", TYPED)


def test_a_rollback_needs_no_reason_and_the_page_asks_afterwards(press, ben, stage):
    stage("internal")
    rolled = press(ben, "roll_back", reason=" ")
    assert rolled.status_code == 302
    assert stage_now() == "disabled"
    assert "Say why below, under the root cause to file" in said(rolled)
    assert Change.objects.latest("pk").reason == "No reason given yet: the root cause will say why."
    assert [due.rolled_back_by for due in list_due()] == ["Ben"]


def test_a_reason_that_is_too_short_is_refused_next_to_its_field(press, ben, stage):
    stage("internal")
    refused = press(ben, "roll_back", reason="x")
    assert refused.status_code == 400
    assert 'id="roll_back-reason-error"' in refused.content.decode()
    assert stage_now() == "internal"


def test_a_refusal_leads_to_the_field_that_it_is_about(press, ben, admin, stage):
    stage("internal")
    for user, action, fields, field in (
        (ben, "roll_back", {"reason": "x"}, "roll_back-reason"),
        (admin, "override", {"stage": "another", "percentage": "x"}, "override-percentage"),
        (admin, "override", {"stage": ""}, "override-stage-another"),
    ):
        html = press(user, action, **fields).content.decode()
        assert f'<a href="#{field}">' in html
        assert f' id="{field}"' in html


def test_rolling_back_what_is_off_already_hurts_nobody(press, signed_in, ben, stage):
    stage("disabled", v1_writes=False)
    assert 'value="roll_back"' in signed_in(ben).get(PAGE).content.decode()
    assert press(ben, "roll_back").status_code == 302
    flag = Flag.objects.get(name=FLAG_NAME)
    assert (flag.stage, flag.v1_writes) == ("disabled", True)
    assert press(ben, "roll_back").status_code == 302


def test_a_missing_certificate_names_the_blocker_and_can_be_retried(signed_in, ben, stage):
    stage("internal")
    stage("disabled")
    version = Flag.objects.get(name=FLAG_NAME).version
    holders = [{"pid": 4711, "application": "somebody", "since": None}]
    DrainCertificate.objects.create(flag_version=version, waited_ms=1000, holders=holders)
    page = signed_in(ben).get(PAGE)
    assert "Session 4711 (somebody)" in text_of(page)
    assert 'value="certify"' in page.content.decode()
    DrainCertificate.objects.create(flag_version=version, waited_ms=3, issued_at=Change.objects.latest("pk").at)
    page = signed_in(ben).get(PAGE)
    assert "No start in V2 commits after" in text_of(page)
    assert 'value="certify"' not in page.content.decode()


def test_a_step_down_needs_a_reason_only(press, ben, stage):
    stage("percentage:50")
    assert press(ben, "step_down", stage="percentage:10").status_code == 302
    assert stage_now() == "percentage:10"
    assert press(ben, "step_down", stage="enabled").status_code == 409
    assert stage_now() == "percentage:10"


def test_v1_writes_are_switched(press, signed_in, ben):
    assert "V1 writes are off." in said(press(ben, "v1_writes", on="no"))
    assert "V1 writes: off" in text_of(signed_in(ben).get(PAGE))
    refused = press(ben, "v1_writes", on="yes", reason="")
    assert 'id="v1_writes-reason-error"' in refused.content.decode()
    assert not Flag.objects.get(name=FLAG_NAME).v1_writes


def test_an_item_of_the_checklist_is_signed_and_taken_back(press, signed_in, ben):
    signed = press(ben, "sign", item="unit_tests")
    assert (signed.status_code, signed["Location"]) == (302, f"{PAGE}?checklist=open#checklist")
    assert '<details id="checklist-details" open>' in signed_in(ben).get(signed["Location"]).content.decode()
    assert "Signed by Ben" in text_of(signed_in(ben).get(PAGE))
    press(ben, "unsign", item="unit_tests")
    assert SignOff.objects.latest("pk").withdrawn
    assert press(ben, "sign", item="schema").status_code == 404
    assert press(ben, "sign", item="nonsense").status_code == 404


def test_a_page_from_before_a_rollback_signs_nothing_after_it(press, ben, stage):
    before = str(Flag.objects.get(name=FLAG_NAME).version)
    stage("internal")
    stage("disabled")
    for action in ("sign", "unsign"):
        refused = press(ben, action, item="unit_tests", version=before)
        assert "has changed since this page was shown" in text_of(refused)
    assert not SignOff.objects.exists()


def test_the_signature_that_was_seen_is_taken_back_and_no_other(press, ben, amina):
    press(ben, "sign", item="unit_tests")
    press(amina, "sign", item="unit_tests")
    assert "Another signature stands there by now" in text_of(press(ben, "unsign", item="unit_tests", signer="Ben"))
    assert not SignOff.objects.filter(withdrawn=True).exists()
    press(ben, "unsign", item="unit_tests", signer="Amina")
    assert SignOff.objects.latest("pk").withdrawn


def test_the_two_stakeholders_are_two_people(press, ben, amina):
    assert press(ben, "sign", item="stakeholders", part="engineering_lead").status_code == 302
    assert press(ben, "sign", item="stakeholders", part="product_owner").status_code == 403
    assert press(amina, "sign", item="stakeholders", part="product_owner").status_code == 302


def test_a_root_cause_is_filed_and_a_gap_in_it_keeps_the_rest(press, signed_in, ben, stage):
    stage("internal")
    stage("disabled")
    number = RootCause.objects.get().pk
    answers = {"what": "Starts failed", "why": "A full disk", "fix": "", "who": "Ben", "due": "tomorrow"}
    refused = press(ben, "file_root_cause", root_cause=number, **answers)
    html = refused.content.decode()
    assert refused.status_code == 400
    assert f'id="file_root_cause-{number}-fix-error"' in html
    assert f'id="file_root_cause-{number}-due-error"' in html
    assert "Starts failed</textarea>" in html
    assert 'value="tomorrow"' in html
    filed = press(ben, "file_root_cause", root_cause=number, **answers | {"fix": "A larger one", "due": "2030-01-31"})
    assert filed.status_code == 302
    assert "Root cause to file" not in text_of(signed_in(ben).get(PAGE))
    assert press(ben, "file_root_cause", root_cause="", **answers).status_code == 404


ACTIONS: dict[str, dict[str, Any]] = {
    "propose": {"stage": "percentage:10"},
    "approve": {"proposal": 1},
    "refuse": {"proposal": 1},
    "withdraw": {"proposal": 1},
    "override": {"stage": "enabled"},
    "step_down": {"stage": "percentage:0.1"},
    "roll_back": {},
    "certify": {},
    "v1_writes": {"on": "no"},
    "sign": {"item": "unit_tests"},
    "unsign": {"item": "unit_tests"},
    "file_root_cause": {"root_cause": 1, "what": "xxx", "why": "xxx", "fix": "xxx", "who": "xxx", "due": "2030-01-31"},
}


@pytest.mark.parametrize("action", ACTIONS)
def test_who_may_only_look_finds_no_button_and_cannot_press_one(action, press, signed_in, operators, stage, footprint):
    stage("percentage:10")
    looker = operators("view")
    assert 'method="post" action="/admin/rollout/"' not in signed_in(looker).get(PAGE).content.decode()
    before = footprint()
    assert press(looker, action, **ACTIONS[action]).status_code == 403
    assert footprint() == before


@pytest.mark.parametrize(
    ("permission", "shown_buttons"),
    [
        ("rollback", {"roll_back", "step_down"}),
        ("propose", {"propose", "v1_writes"}),
        ("approve", {"sign"}),
    ],
)
def test_each_permission_shows_its_own_buttons(
    permission, shown_buttons, signed_in, operators, shown, stage, monkeypatch
):
    items = checklist.judge_checklist()
    monkeypatch.setattr(
        "rollout.promotion.readiness.judge", lambda **asked: replace(shown.judge(**asked), checklist=items)
    )
    stage("percentage:10")
    html = signed_in(operators("view", permission)).get(PAGE).content.decode()
    assert set(re.findall(r'name="action" value="(\w+)"', html)) == shown_buttons


def test_signed_out_and_forged_posts_change_nothing(ben, member, signed_in, footprint):
    before = footprint()
    # A visitor may have been signed out meanwhile: their words are shown again.
    for client, status in ((Client(), 401), (signed_in(member()), 302)):
        assert client.post(PAGE, {"action": "roll_back", "reason": TYPED}).status_code == status
    forger = signed_in(ben, enforce_csrf_checks=True)
    assert forger.post(PAGE, {"action": "roll_back", "reason": TYPED}).status_code == 403
    assert footprint() == before
