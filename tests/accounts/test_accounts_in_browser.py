"""The pages of signing in in a real browser: axe finds nothing, they fit a phone, and a passkey works under our CSP."""

import re

from tests.pages.looks import find_problems

PASSWORD = "three green apples"
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def test_every_step_is_accessible_and_a_passkey_signs_in(site, browser, member):
    member(name="Ada", email="ada@example.org", set_password=PASSWORD)
    # Browsers keep passkeys for names, not for IP addresses.
    context = browser.new_context(base_url=site.replace("127.0.0.1", "localhost"))
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if "Content Security Policy" in line.text else None)

    def look(name):
        problems.extend(find_problems(page, name))

    def press(name):
        page.get_by_role("button", name=name, exact=True).click()

    def sign_in():
        page.goto("/login")
        page.fill('[name="email"]', "ada@example.org")
        page.fill('[name="password"]', PASSWORD)
        press("Sign in")

    def confirm():
        page.wait_for_url("**/account/confirm?**")
        look("confirming")
        page.fill('[name="password"]', PASSWORD)
        press("Confirm")

    def sign_out():
        page.goto("/logout")
        press("Sign out")
        page.wait_for_url(re.compile(r"/(logout|requests|login)"))

    for address in ("/login", "/password/forgotten", "/password/forgotten?sent=1", "/login/code"):
        page.goto(address)
        look(address)
    page.fill('[name="email"]', "nobody@example.org")
    press("Send me a code")
    page.wait_for_url("**/login/code/confirm")
    look("asking for the code")
    page.fill('[name="code"]', "BBBB-BBBB")
    press("Sign in")
    page.wait_for_selector(".field-error")
    look("a wrong code")

    sign_in()
    page.wait_for_url("**/requests")
    for address in ("/account", "/account/email", "/account/password", "/account/second-factor"):
        page.goto(address)
        look(address)
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    page.goto("/account/second-factor/app")
    confirm()
    page.wait_for_url("**/account/second-factor/app")
    look("an app for codes")
    page.goto("/account/passkeys/add")
    look("adding a passkey")
    press("Add it")
    page.wait_for_url("**/account/second-factor/codes")
    look("recovery codes")
    page.goto("/account/second-factor")
    look("a second factor")

    sign_out()
    page.goto("/login?next=/account")
    press("Use a passkey")
    page.wait_for_url(re.compile(r"//[^/]+/account$"))
    sign_out()
    sign_in()
    page.wait_for_url("**/login/second-factor")
    look("the second step")
    press("Use a passkey")
    page.wait_for_url("**/requests")
    page.goto("/account/second-factor")
    page.get_by_role("link", name="Remove My passkey").click()
    confirm()
    page.wait_for_url("**/account/passkeys/remove?**")
    look("removing a passkey")
    context.close()
    assert not problems, "\n".join(problems)
