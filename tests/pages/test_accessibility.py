"""Every page in a real browser: rules of accessibility, a small phone, large targets, and a silent console."""

import pytest

from tests.pages.looks import TOO_SMALL, find_problems
from tests.pages.states import Makers, World, list_states

pytestmark = pytest.mark.slow

# A page that is not there, a form that is refused and a lost connection are on the list, and a browser says so. It also misses
# a name where a new password is chosen, which the page need not tell a person who has the link.
MENTIONED = (
    "the server responded with a status of 4",
    "net::ERR_FAILED",
    "Password forms should have (optionally hidden) username fields",
)


@pytest.fixture
def world(site, member, staff, help_request, stage, settled_stage):
    return World(Makers(member, staff, help_request, stage, lambda: settled_stage("enabled")))


def test_every_page_in_every_state_is_accessible_and_fits(open_page, world):
    problems, reader, page = [], None, None

    def heard(line):
        text = getattr(line, "text", str(line))
        if not any(known in text for known in MENTIONED):
            problems.append(text)

    for state in list_states(world):
        is_signed_out = page and reader and not any(cookie["name"] == "sessionid" for cookie in page.context.cookies())
        if page is None or state.reader != reader or is_signed_out:
            reader = state.reader
            page = open_page("/help", reader, reduced_motion="reduce")
            page.on("pageerror", heard)
            page.on("console", heard)
        page.goto(state.address)
        state.act(page)
        is_for_staff = state.address.startswith("/admin/")
        problems.extend(find_problems(page, state.name, too_small="" if is_for_staff else TOO_SMALL))
    assert not problems, "\n".join(problems)


def test_the_dialog_works_by_keyboard_alone(open_page, member, help_request):
    page = open_page(f"/requests/{help_request().pk}", member())
    page.wait_for_load_state("load")
    page.get_by_role("button", name="Offer Help").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.name") == "initial_message"
    page.keyboard.type("Half a thought")
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    assert page.evaluate("document.activeElement.textContent") == "Offer Help"
    page.keyboard.press("Enter")
    assert page.input_value("[name=initial_message]") == "Half a thought"
    page.get_by_role("button", name="Close").click()
    assert not page.locator("dialog").is_visible()
