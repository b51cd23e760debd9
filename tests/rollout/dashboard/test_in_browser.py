"""The control room in a real browser: each state at both widths, by keyboard, without JavaScript, and moving by itself."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from carecollective.formats.moments import moment
from rollout.models import Change, Flag, Proposal, Source
from rollout.promotion.services import roll_back
from rollout.targeting.state import FLAG_NAME
from tests.pages.looks import LOOKS_OF_STAFF, find_problems
from tests.rollout.dashboard.conftest import PAGE, stage_now

pytestmark = pytest.mark.slow

expect.set_options(timeout=15_000)

TOO_SMALL = """() => [...document.querySelectorAll(".room :is(button, summary, input, textarea, select)")]
    .filter((each) => each.checkVisibility() && !["hidden", "radio"].includes(each.type))
    .filter((each) => each.getBoundingClientRect().height < 44)
    .map((each) => each.outerHTML)"""
POLL = "05"
OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true })"


@pytest.fixture
def put(site, stage, happen, began, lease, alert, ben):
    """Put the rollout into one of the states in which people find it."""

    def proposed(version):
        Proposal.objects.create(
            from_stage="percentage:10", to_stage="percentage:50", from_version=version, reason="Calm days.",
            proposer_id=ben.pk, proposer_label="Ben",
        )  # fmt: skip

    def to(state):
        if state == "off":
            return
        stage("percentage:33.3" if state == "failing" else "percentage:10")
        # All that 10% is asked to show, or all but the days and the operations that prove so few errors.
        shown = state != "overtaken"
        if shown:
            began("4 days")
        happen(70, failed=35 if state == "failing" else 0)
        happen(250 if shown else 70, method="sendMessage", duration_ms=230.0)
        happen(2, event="error", log_level="warn", error_code="conversation_exists")
        match state:
            case "failing":
                alert("35 of 70 operations failed in V2 in the last 5 minutes: 50%, over 5%.", disabled_v2=True)
                alert("Slow.", kind="latency", severity="warning")
            case "rolled back":
                roll_back(actor=None, reason="Errors in V2.", source=Source.GUARD, actor_label="The guard")
            case "guard dead":
                lease("2 minutes")
            case "pending":
                proposed(Flag.objects.get(name=FLAG_NAME).version)
            case "overtaken":
                proposed(0)

    return to


@pytest.mark.parametrize(
    ("state", "health"),
    [
        ("off", "Off"),
        ("healthy", "Healthy"),
        ("failing", "Failing"),
        ("rolled back", "Rolled back"),
        ("guard dead", "Unguarded"),
        ("pending", "Healthy"),
        ("overtaken", "Not enough yet"),
    ],
)
def test_every_state_is_accessible_fits_and_keeps_the_policy(state, health, put, open_page, admin):
    put(state)
    problems: list[str] = []

    def hear(line):
        problems.append(getattr(line, "text", str(line)))

    page = open_page("/help", admin)
    page.on("pageerror", hear)
    page.on("console", hear)
    page.goto(f"{PAGE}?preview=percentage:50&email=nobody@example.org")
    assert page.locator("[data-region=health-word]").inner_text().strip() == health
    page.evaluate(OPEN_ALL)
    problems += find_problems(page, "with all of it open", looks=LOOKS_OF_STAFF, too_small=TOO_SMALL)
    assert not problems, "\n".join(problems)


def test_a_phone_shows_the_five_first_answers_without_scrolling(put, open_page, admin):
    put("failing")
    page = open_page(PAGE, admin, viewport={"width": 390, "height": 844})
    room = page.locator(".room")
    answers = [room.get_by_role("button", name="Roll back", exact=True), *room.locator(".served li").all()]
    answers += [room.locator("dt", has_text=asked) for asked in ("Last change", "Was somebody told?", "Failing")]
    answers.append(room.locator(".failing").first.locator("code").first)
    assert len(answers) == 7
    for answer in answers:
        box = answer.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 844, answer


@pytest.mark.parametrize("state", ["healthy", "failing", "rolled back"])
def test_on_a_phone_alerts_come_first_and_the_checklist_is_closed(state, put, open_page, admin):
    put(state)
    page = open_page(PAGE, admin, viewport={"width": 390, "height": 844})
    summary = page.locator("#checklist summary")
    expect(summary).to_have_text(re.compile(r"Before the next step: \d of 10 done"))
    alerts, history, checklist, channels = (
        page.locator(place).bounding_box()
        for place in ("[data-region=alerts]", "[data-region=timeline]", "#checklist", "#channels")
    )
    assert checklist["height"] < 140
    assert alerts["y"] < 2 * 844
    assert history["y"] < channels["y"] < checklist["y"]
    assert history["y"] < 3 * 844
    summary.click()
    page.locator("#sign-unit_tests-").click()
    expect(page.locator("#checklist")).to_contain_text("Signed by Root")
    expect(page.locator("#checklist")).to_be_in_viewport()


def test_the_page_moves_by_itself_and_leaves_what_is_being_typed(put, open_page, ben, stage, alert):
    put("healthy")
    page = open_page(PAGE, ben, clock=True)
    page.locator("#reason-summary").click()
    reason = page.locator("#roll_back-reason")
    reason.fill("Half a thought")
    page.locator("#summary-creation_success").click()
    expect(page.locator("[data-region=health-word]")).to_contain_text("Healthy")
    alert("It is too slow.", kind="latency")
    page.clock.fast_forward(POLL)
    expect(page.locator("[data-region=health-word]")).to_contain_text("Failing")
    expect(page.locator("[data-region=alerts]")).to_contain_text("It is too slow.")
    expect(page.locator("[role=status][data-region=announcement]")).to_contain_text("1 open alert.")
    stage("internal")
    page.clock.fast_forward(POLL)
    expect(page.locator("[aria-current=step]")).to_contain_text("Internal")
    assert reason.input_value() == "Half a thought"
    assert page.locator("#table-creation_success").get_attribute("open") is not None


def test_what_does_not_change_is_not_drawn_anew(put, open_page, ben):
    put("healthy")
    hour = timezone.now().hour
    page = open_page(PAGE, ben, clock=True)
    page.evaluate("document.querySelectorAll('[data-region] *').forEach((each) => { each.isOld = true })")
    with page.expect_response("**/admin/rollout/live"):
        page.clock.fast_forward(POLL)
    page.wait_for_timeout(300)
    redrawn = page.evaluate(
        "[...document.querySelectorAll('[data-region]')].filter((each) => [...each.querySelectorAll('*')]"
        ".some((part) => !part.isOld)).map((each) => each.dataset.region)"
    )
    # The time, how much of the bake time is over, and with a new hour the charts.
    charts = {name for name in redrawn if name.startswith("figure-")} if timezone.now().hour != hour else set()
    assert set(redrawn) - charts <= {"facts", "gates", "overview"}


def test_a_reader_who_was_signed_out_is_told_and_asked_no_more(put, open_page, ben):
    page = open_page(PAGE, ben, clock=True)
    page.context.clear_cookies()
    page.clock.fast_forward(POLL)
    expect(page.locator("[data-stalled]")).to_contain_text("You are signed out")


def test_a_server_that_does_not_answer_is_told(put, open_page, ben):
    page = open_page(PAGE, ben, clock=True)
    page.context.set_offline(True)
    page.clock.fast_forward(POLL)
    expect(page.locator("[data-stalled]")).to_contain_text("The server does not answer")
    page.context.set_offline(False)
    page.clock.fast_forward(POLL)
    expect(page.locator("[data-stalled]")).to_be_hidden()


@pytest.mark.parametrize("javascript", [True, False])
def test_rolling_back_comes_first_by_keyboard_and_needs_one_press(javascript, put, open_page, ben):
    put("healthy")
    page = open_page(PAGE, ben, javascript=javascript)
    page.locator("a.skip-to-content-link").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".messagelist")).to_contain_text("Say why below, under the root cause to file")
    expect(page.locator(".messagelist")).to_contain_text("Rolled back: V2 is off for everybody")
    expect(page.locator(".messagelist")).to_contain_text("No start in V2 commits after")
    expect(page.locator("[data-region=health-word]")).to_contain_text("Rolled back")
    assert stage_now() == "disabled"


def test_every_kind_of_form_works_without_javascript(open_page, site, admin):
    page = open_page(PAGE, admin, javascript=False)
    page.locator("#override-summary").click()
    page.locator("#override-details input[value=internal]").check()
    page.fill("#override-reason", "The first step, in a rehearsal.")
    page.get_by_role("button", name="Move without approval").click()
    expect(page.locator("[aria-current=step]")).to_contain_text("Internal")
    expect(page.locator("[data-region=timeline]")).to_contain_text("Override")
    page.locator("#checklist summary").click()
    page.locator("#sign-unit_tests-").click()
    expect(page.locator("#checklist")).to_contain_text("Signed by Root")


def test_the_reader_sees_their_own_time_with_utc_beside_it(put, open_page, admin):
    put("healthy")
    at = Change.objects.latest("pk").at
    local = at + timedelta(hours=5, minutes=30)
    places = {PAGE: ".overview time", "/admin/rollout/change/": "#result_list time"}
    for path, place in places.items():
        page = open_page(path, admin, timezone_id="Asia/Kolkata", locale="en-GB")
        shown = page.locator(place).first
        expect(shown).to_have_text(re.compile(rf"{local:%H:%M:%S} \(.*{at:%H:%M:%S} UTC\)$"))
        expect(shown).to_have_attribute("title", moment(at, "second"))
        plain = open_page(path, admin, timezone_id="Asia/Kolkata", javascript=False)
        expect(plain.locator("#content")).to_contain_text(moment(at, "second"))
    page = open_page(f"/admin/accounts/user/{admin.pk}/change/", admin, timezone_id="Asia/Kolkata", locale="en-GB")
    expect(page.locator(".field-created_at time")).to_have_count(1)
    page.goto("/admin/accounts/user/")
    expect(page.locator("#result_list .field-created_at time").first).to_contain_text(" UTC)")
