"""What is wrong with how a page looks: by axe, on a small phone and a wide screen, in both themes, and for a finger."""

from collections.abc import Iterator, Sequence
from typing import Literal

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

WIDER_THAN_THE_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
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

# Both themes of a page that is loaded once. All rules at 390 px; what colours and room change, at the other widths too.
BY_LOOK = (
    '{ runOnly: ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "region", "heading-order"] }'
)
Look = tuple[int, Literal["light", "dark"], str]
LOOKS: tuple[Look, ...] = ((390, "light", "{}"), (320, "light", ""), (1280, "dark", BY_LOOK))
LOOKS_OF_STAFF = tuple(look for look in LOOKS if look[0] != 320)
FIND = """async () => {
    // A theme that has just been changed fades in.
    for (const animation of document.getAnimations()) animation.finish();
    const found = await axe.run(document, { resultTypes: ["violations"], ...%s });
    return found.violations.map((rule) => `${rule.id} ${rule.nodes[0].html}`);
}"""


def find_problems(page: Page, name: str, *, looks: Sequence[Look] = LOOKS, too_small: str = TOO_SMALL) -> Iterator[str]:
    """Yield what is wrong with a page in each of the looks, in words; it stays in the last of them.

    Args:
        name: What the page is called in the words.
        too_small: The script that finds what is too small for a finger; empty where none is looked for.
    """
    page.evaluate(AXE_SCRIPT)
    for width, scheme, options in looks:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        where = f"{name} at {width} px"
        if page.evaluate(WIDER_THAN_THE_SCREEN):
            yield f"{where} is wider than the screen"
        if too_small:
            yield from (f"{where}: small target, {found}" for found in page.evaluate(too_small))
        if options:
            yield from (f"{where}: {rule}" for rule in page.evaluate(FIND % options))
