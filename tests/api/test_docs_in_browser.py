from typing import Any

from playwright.sync_api import Browser, Request

REPORT_VIOLATIONS = """document.addEventListener(
  'securitypolicyviolation', event => console.error(event.violatedDirective, event.blockedURI))"""


def test_the_docs_are_drawn_within_our_policy_and_without_a_network(browser: Browser, gunicorn_address: str) -> None:
    complaints: list[Any] = []

    def note_foreign(request: Request) -> None:
        if not request.url.startswith((gunicorn_address, "data:")):
            complaints.append(request.url)

    with browser.new_context(base_url=gunicorn_address) as context:
        context.add_init_script(REPORT_VIOLATIONS)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", note_foreign)
        page.goto("/api/docs")
        page.locator("#operations-conversations-start_conversation .opblock-summary-control").click()
        page.locator(".opblock-body").first.wait_for()
        assert page.locator(".opblock").count() >= 12
    assert complaints == []
