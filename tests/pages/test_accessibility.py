"""Every page in a real browser: rules of accessibility, a small phone, large targets, and a silent console."""

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from tests.pages.states import Makers, World, list_states

pytestmark = pytest.mark.slow

WIDER_THAN_THE_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
# A page that is not there, a form that is refused and a lost connection are on the list, and a browser says so. It also misses
# a name where a new password is chosen, which the page need not tell a person who has the link.
MENTIONED = (
    "the server responded with a status of 4",
    "net::ERR_FAILED",
    "Password forms should have (optionally hidden) username fields",
)
# What a finger has to meet: each control, and each link but those in a sentence. A link may be larger than its words, as a
# card's is, so what looks too small is asked how far up and down it can be met.
TOO_SMALL = """() => {
    const enough = 44;
    const inSentence = (link) => {
        for (let around = link.parentElement; ; around = around.parentElement) {
            if ([...around.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())) return true;
            if (getComputedStyle(around).display !== "inline") return false;
        }
    };
    const reach = (each) => {
        each.scrollIntoView({ block: "center", behavior: "instant" });
        const { left, right, top, bottom } = each.getBoundingClientRect();
        const [x, y] = [(left + right) / 2, (top + bottom) / 2];
        const meets = (at) => each.contains(document.elementFromPoint(x, at));
        let [up, down] = [y, y];
        while (meets(up - 1) && y - up < enough) up -= 1;
        while (meets(down + 1) && down - y < enough) down += 1;
        return down - up;
    };
    return [...document.querySelectorAll("main a, main button, main .button, main summary, header a, input, select, textarea")]
        .filter((each) => each.checkVisibility() && each.type !== "hidden" && each.tabIndex >= 0)
        .map((each) => (["checkbox", "radio"].includes(each.type) ? (each.labels[0] ?? each) : each))
        .filter((each) => !each.matches("main a") || !inSentence(each))
        .filter((each) => each.getBoundingClientRect().height < enough && reach(each) < enough)
        .map((each) => `${each.getBoundingClientRect().height} px: ${each.outerHTML}`);
}"""


@pytest.fixture
def world(site, member, staff, help_request, stage, settled_stage):
    return World(Makers(member, staff, help_request, stage, lambda: settled_stage("enabled")))


# Both themes of a page that is loaded once. All rules at 390 px; what colours and room change, at the other widths too.
BY_LOOK = (
    '{ runOnly: ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "region", "heading-order"] }'
)
LOOKS = ((390, "light", "{}"), (320, "light", None), (1280, "dark", BY_LOOK))
FIND = """async () => {
    // A theme that has just been changed fades in.
    for (const animation of document.getAnimations()) animation.finish();
    const found = await axe.run(document, { resultTypes: ["violations"], ...%s });
    return found.violations.map((rule) => `${rule.id} ${rule.nodes[0].html}`);
}"""


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
        page.evaluate(AXE_SCRIPT)
        for width, scheme, options in LOOKS:
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            where = f"{state.name} at {width} px"
            if page.evaluate(WIDER_THAN_THE_SCREEN):
                problems.append(f"{where} is wider than the screen")
            if not state.address.startswith("/admin/"):
                problems.extend(f"{where}: small target, {found}" for found in page.evaluate(TOO_SMALL))
            found = page.evaluate(FIND % options) if options else ()
            problems.extend(f"{where}: {rule}" for rule in found)
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
