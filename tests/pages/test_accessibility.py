"""Every page in a real browser: rules of accessibility, a small phone, large targets, and a silent console."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from carecollective.inbox.services import offer_help, send_message

pytestmark = pytest.mark.slow

WIDER_THAN_THE_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
TOO_SMALL = """() => [...document.querySelectorAll("main button, main .button, main summary, header a, input, select, textarea")]
    .filter((each) => each.checkVisibility() && each.type !== "hidden" && each.type !== "checkbox")
    .filter((each) => each.getBoundingClientRect().height < 44)
    .map((each) => each.outerHTML)"""


@pytest.fixture
def pages(site, member, help_request, stage):
    """Everybody's pages, and those of a member who asks, helps and has closed threads."""
    stage("enabled")
    ada = member(name="Ada Lovelace")
    words = "A-very-long-word-without-any-place-to-break-" * 4
    own = help_request(user=ada, title=f"My own wish {words}", urgency="critical")
    other = help_request(title="Somebody else's wish", urgency="urgent", description=words)
    open_one = help_request(title="Not offered yet")
    offered = offer_help(actor=member(), help_request_id=own.pk, initial_message=f"I could do that. {words}")
    mine = offer_help(actor=ada, help_request_id=other.pk, initial_message="Happy to help you.")
    send_message(actor=other.user, conversation_id=mine.conversation_id, content=words)
    everybody = ["/requests", "/requests?q=nothing", "/login", "/signup", "/help", "/nowhere", f"/requests/{own.pk}"]
    members = [
        "/requests",
        "/requests/new",
        f"/requests/{own.pk}",
        f"/requests/{other.pk}",
        f"/requests/{open_one.pk}?offer=1",
        "/messages",
        f"/messages/{offered.conversation_id}",
        f"/messages/{mine.conversation_id}",
        f"/messages/{offered.conversation_id}/report",
        "/account",
        "/account/erase",
        "/logout",
    ]
    return ada, everybody, members


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "dark")])
def test_every_page_is_accessible_fits_the_screen_and_keeps_the_policy(open_page, pages, width, scheme):
    ada, everybody, members = pages
    problems = []

    def heard(line):
        text = getattr(line, "text", str(line))
        # A page that is not there is on the list; a browser mentions that too.
        if "404" not in text:
            problems.append(text)

    for reader, addresses in ((None, everybody), (ada, members)):
        page = open_page("/help", reader, viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.on("pageerror", heard)
        page.on("console", heard)
        for address in addresses:
            page.goto(address)
            found = Axe().run(page)
            problems += [f"{address}: {rule['id']} {rule['nodes'][0]['html']}" for rule in found.response["violations"]]
            if page.evaluate(WIDER_THAN_THE_SCREEN):
                problems.append(f"{address} is wider than {width} px")
            problems += [f"{address}: small target {element}" for element in page.evaluate(TOO_SMALL)]
    assert not problems, "\n".join(problems)


def test_the_dialog_works_by_keyboard_alone(open_page, pages, help_request):
    ada, _everybody, _members = pages
    page = open_page(f"/requests/{help_request().pk}", ada)
    page.wait_for_load_state("networkidle")
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
