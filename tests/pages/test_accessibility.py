"""Every page in a real browser: rules of accessibility, a small phone, large targets, and a silent console."""

from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.tokens import default_token_generator

from carecollective.inbox.closing.services import close_conversation
from carecollective.inbox.services import offer_help, send_message
from carecollective.mail.topics import Topic, make_preferences_link

pytestmark = pytest.mark.slow

WIDER_THAN_THE_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
# A page that is not there and a form that is refused are on the list, and a browser says so. It also misses a name where a new
# password is chosen, which the page need not tell a person who has the link.
MENTIONED = (
    "the server responded with a status of 4",
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
def pages(site, member, help_request, stage, settled_stage):
    """Everybody's pages, and those of a member who asks, helps, and has threads that are closed or kept as they were."""
    stage("disabled")
    ada, ben = member(name="Ada Lovelace"), member(name="Ben")
    words = "A-very-long-word-without-any-place-to-break-" * 4
    own = help_request(user=ada, title=f"My own wish {words}", urgency="critical")
    other = help_request(title="Somebody else's wish", urgency="urgent", description=words)
    open_one = help_request(title="Not offered yet")
    frozen = [
        offer_help(actor=helping, help_request_id=help_request(user=asking).pk, initial_message="I could do that.")
        for helping, asking in ((ada, ben), (ben, ada))
    ]
    settled_stage("enabled")
    offered = offer_help(actor=member(), help_request_id=own.pk, initial_message=f"I could do that. {words}")
    mine = offer_help(actor=ada, help_request_id=other.pk, initial_message="Happy to help you.")
    send_message(actor=other.user, conversation_id=mine.conversation_id, content=words)
    closed = offer_help(actor=ben, help_request_id=own.pk, initial_message="I could do that too.")
    close_conversation(actor=ben, conversation_id=closed.conversation_id)
    link = urlencode({"account": ben.pk, "token": default_token_generator.make_token(ben)})
    everybody = [
        "/requests",
        "/requests?q=nothing",
        "/login",
        "/signup",
        "/help",
        "/contact",
        "/contact?sent=1",
        "/nowhere",
        "/account/erased",
        f"/requests/{own.pk}",
    ]
    members = [
        "/requests",
        "/requests/new",
        f"/requests/{own.pk}",
        f"/requests/{other.pk}",
        f"/requests/{open_one.pk}?offer=1",
        "/my/requests",
        "/my/offers",
        "/contact",
        "/messages",
        "/messages?show=unread",
        "/messages?show=archived",
        *(f"/messages/{started.conversation_id}" for started in (offered, mine, closed, *frozen)),
        f"/messages/{offered.conversation_id}/report",
        "/account",
        "/account/erase",
        "/logout",
    ]
    choices = make_preferences_link(ben.pk, Topic.REPORTS).rpartition("/")[2]
    return ada, [*everybody, f"/password?{link}", f"/mail/{choices}"], members


@pytest.mark.parametrize(("widths", "scheme"), [((390, 320), "light"), ((1280,), "dark")])
def test_every_page_is_accessible_and_fits_the_screen(open_page, pages, widths, scheme):
    ada, everybody, members = pages
    problems = []

    def heard(line):
        text = getattr(line, "text", str(line))
        if not any(known in text for known in MENTIONED):
            problems.append(text)

    def look_at(page, name):
        for width in widths:
            page.set_viewport_size({"width": width, "height": 800})
            if page.evaluate(WIDER_THAN_THE_SCREEN):
                problems.append(f"{name} is wider than {width} px")
            problems.extend(f"{name} at {width} px: small target, {found}" for found in page.evaluate(TOO_SMALL))
        found = Axe().run(page)
        problems.extend(f"{name}: {rule['id']} {rule['nodes'][0]['html']}" for rule in found.response["violations"])

    for reader, addresses in ((None, everybody), (ada, members)):
        page = open_page("/help", reader, viewport={"width": widths[0], "height": 800}, color_scheme=scheme)
        page.on("pageerror", heard)
        page.on("console", heard)
        for address in addresses:
            page.goto(address)
            look_at(page, address)
    page.goto("/requests/new")
    page.fill('[name="title"]', " ")
    page.click('button:has-text("Post my request")')
    page.wait_for_selector(".field-error")
    look_at(page, "a refused form")
    for cookie, name in (("csrftoken", "a form that is shown again"), ("sessionid", "a form of who is signed out")):
        page.goto("/requests/new")
        page.fill('[name="title"]', "Milk and bread")
        page.context.clear_cookies(name=cookie)
        # As without our scripts.
        page.locator("form[data-draft]").evaluate("(form) => HTMLFormElement.prototype.submit.call(form)")
        page.get_by_role("button", name="Send again").wait_for()
        look_at(page, name)
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
