"""Every page in every state in which somebody meets it, as a list that tests and pictures go through."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.tokens import default_token_generator
from django.utils import timezone
from playwright.sync_api import Page

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.services import cancel_request, complete_request
from carecollective.inbox.closing.services import close_conversation
from carecollective.inbox.mine.services import thank_helper
from carecollective.inbox.services import ask_to_continue, mark_read, offer_help, send_message
from carecollective.inbox.unread.services import archive
from carecollective.mail.topics import Topic, make_preferences_link
from carecollective.moderation.acts import act_on_report
from carecollective.moderation.services import report_message
from carecollective.privacy.erasure import erase_for_member
from carecollective.safety.services import block_member

LONG = "A-very-long-word-without-any-place-to-break-" * 4
OFFER = "I could do that, if you like."
WRITE = "[name=message]"


def leave(page: Page) -> None:
    """Leave the page as it was opened."""


@dataclass(frozen=True)
class State:
    """One page as one reader meets it: `act` brings it into the state, once it is open."""

    name: str
    reader: User | None
    address: str
    act: Callable[[Page], None] = leave


@dataclass(frozen=True)
class Makers:
    """The fixtures that the world is made with."""

    member: Callable[..., User]
    staff: Callable[..., User]
    help_request: Callable[..., HelpRequest]
    stage: Callable[[str], None]
    enable: Callable[[], None]


class World:
    """A member who asks and helps, and whoever they meet."""

    def __init__(self, make: Makers) -> None:
        self.make = make
        make.stage("disabled")
        self.ada, self.ben = make.member(name="Ada Lovelace"), make.member(name="Ben Okoro")
        self.sam = make.staff(name="Sam Rivera")
        self.nobody = make.member(name="Nora New")
        self.applicant = make.member(name="Vera Lindt", verification_status="pending", wanted_path="/requests/new")
        self.rejected = make.member(
            name="Otto Fern", verification_status="rejected", rejection_reason="We serve Springfield only."
        )
        frozen = [self.offer(by=self.ada, to=self.ben), self.offer(by=self.ben, to=self.ada)]
        self.frozen_helper, self.frozen_owner = frozen
        make.enable()
        self.own = make.help_request(user=self.ada, title=f"My own wish {LONG}", urgency="critical")
        self.other = make.help_request(title="Somebody else's wish", urgency="urgent", description=LONG)
        self.open = make.help_request(title="Not offered yet")
        self.offered = self.offer(by=self.ben, about=self.own, words=f"I could do that. {LONG}")
        self.mine = self.offer(by=self.ada, about=self.other, words="Happy to help you.")
        send_message(actor=self.other.user, conversation_id=self.mine, content=LONG)

    def offer(self, *, by: User, to: User | None = None, about: HelpRequest | None = None, words: str = OFFER) -> UUID:
        about = about or self.make.help_request(user=to or self.make.member())
        return offer_help(actor=by, help_request_id=about.pk, initial_message=words).conversation_id

    def closed(self) -> UUID:
        key = self.offer(by=self.ada)
        close_conversation(actor=self.ada, conversation_id=key)
        return key

    def blocked(self) -> UUID:
        other = self.make.member(name="Bruno Block")
        key = self.offer(by=other, to=self.ada)
        block_member(actor=self.ada, member_id=other.pk)
        return key

    def blocked_by_other(self) -> UUID:
        other = self.make.member(name="Bea Block")
        key = self.offer(by=other, to=self.ada)
        block_member(actor=other, member_id=self.ada.pk)
        return key

    def departed(self) -> UUID:
        other = self.make.member(name="Dora Departed")
        key = self.offer(by=other, to=self.ada)
        erase_for_member(actor=self.sam, member_id=other.pk)
        return key

    def archived(self) -> UUID:
        key = self.offer(by=self.ada)
        mark_read(actor=self.ada, conversation_id=key)
        archive(actor=self.ada, conversation_id=key)
        return key

    def completed(self) -> HelpRequest:
        request = self.make.help_request(user=self.ada, title="Hanging up a lamp")
        helpers = [self.offer(by=self.make.member(name=name), about=request) for name in ("Cleo", "Emil")]
        complete_request(actor=self.ada, help_request_id=request.pk)
        thank_helper(actor=self.ada, conversation_id=helpers[0])
        return request

    def restricted(self) -> tuple[User, UUID, UUID]:
        """Return a member whom staff acted on in each way, a conversation with a hidden message, and the report."""
        rude = self.make.member(name="Rita Rash")
        key = self.offer(by=rude, to=self.ada)
        said = send_message(actor=rude, conversation_id=key, content="Something rude.").message
        report = report_message(
            actor=self.ada, conversation_id=key, message_id=said.id, reason="harassment", words="She is rude to me."
        )
        more: dict[str, Any] = {"reason": "Rude.", "words": "Please take a break, and be kind."}
        for choice, days in (("hide", None), ("warn", None), ("no_offers", 7), ("no_messages", 30)):
            act_on_report(actor=self.sam, report_id=report.pk, choice=choice, days=days, **more)
        return rude, key, report.pk


def press(name: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_role("button", name=name, exact=True).first.click()


def _refused(field: str, button: str) -> Callable[[Page], None]:
    """Send a form with a blank field."""

    def act(page: Page) -> None:
        page.fill(f"[name={field}]", " ")
        page.locator("form").evaluate_all("forms => forms.forEach((form) => { form.noValidate = true; })")
        press(button)(page)
        page.wait_for_selector(".field-error")

    return act


def _lost(cookie: str) -> Callable[[Page], None]:
    """Send a form without this cookie, as without our scripts."""

    def act(page: Page) -> None:
        page.fill('[name="title"]', "Milk and bread")
        page.context.clear_cookies(name=cookie)
        page.locator("form[data-draft]").evaluate("(form) => HTMLFormElement.prototype.submit.call(form)")
        page.get_by_role("button", name="Send again").wait_for()

    return act


def _unsent(page: Page) -> None:
    """Send a message that does not get through."""
    page.route("**/api/messaging/**", lambda route: route.abort())
    page.fill(WRITE, "Shall I come by at ten?")
    press("Send")(page)
    page.get_by_role("button", name="Retry").wait_for()
    page.unroute("**/api/messaging/**")


def _signed_out(page: Page) -> None:
    page.context.clear_cookies(name="sessionid")
    page.fill(WRITE, "Half a sentence")
    press("Send")(page)
    page.locator("[data-signed-out]:visible").wait_for()


def _personal(page: Page) -> None:
    page.fill("[name=initial_message]", "Call me: 0123 4567890, or ada@example.org")
    page.locator("[data-personal]:visible").wait_for()


def _failed_offer(page: Page) -> None:
    page.route("**/api/messaging/**", lambda route: route.abort())
    page.fill("[name=initial_message]", OFFER)
    press("Send")(page)
    page.get_by_role("button", name="Retry").wait_for()
    page.unroute("**/api/messaging/**")


def _nobody_ticked(page: Page) -> None:
    press("Approve")(page)
    page.locator("[role=alert]").wait_for()


def _closed_meanwhile(by: User, key: UUID) -> Callable[[Page], None]:
    """Send a message, as without our scripts, into a thread that the other closed after it was opened."""

    def act(page: Page) -> None:
        page.fill(WRITE, "Shall I come by at ten?")
        close_conversation(actor=by, conversation_id=key)
        page.locator(f"form:has({WRITE})").evaluate("(form) => HTMLFormElement.prototype.submit.call(form)")
        page.locator("#unsent").wait_for()

    return act


def _menus(page: Page) -> None:
    """Open whatever unfolds."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")


def list_states(world: World) -> Iterator[State]:
    """List each state with its reader; those of one reader stand together, and what signs out comes last."""
    link = urlencode({"account": world.ben.pk, "token": default_token_generator.make_token(world.ben)})
    choices = make_preferences_link(world.ben.pk, Topic.REPORTS).rpartition("/")[2]
    completed, (rude, hidden, report) = world.completed(), world.restricted()
    cancelled = world.make.help_request(title="Taken back")
    cancel_request(actor=cancelled.user, help_request_id=cancelled.pk)
    ask_to_continue(actor=world.ben, conversation_id=world.frozen_helper)
    world.archived()

    for address in ("/requests", "/requests?q=nothing", "/login", "/signup", "/help", "/contact", "/nowhere"):
        yield State(address, None, address)
    yield State("contact sent", None, "/contact?sent=1")
    yield State("contact refused", None, "/contact", _refused("text", "Send"))
    yield State("joining refused", None, "/signup", _refused("name", "Join"))
    yield State("signed out page", None, "/logout")
    yield State("erased", None, "/account/erased")
    yield State("a request", None, f"/requests/{world.own.pk}")
    yield State("choosing a password", None, f"/password?{link}")
    yield State("an old password link", None, "/password?account=x&token=y")
    yield State("mail preferences", None, f"/mail/{choices}")

    yield State("waiting", world.applicant, "/account?welcome=1")
    yield State("waiting at a request", world.applicant, f"/requests/{world.open.pk}")
    yield State("rejected", world.rejected, "/account")

    for address in ("/messages", "/my/requests", "/my/offers"):
        yield State(f"nothing at {address}", world.nobody, address)

    yield State("told of an act on every page", rude, "/requests")
    yield State("restricted account", rude, "/account")
    yield State("restricted thread", rude, f"/messages/{hidden}")
    yield State("restricted offer", rude, f"/requests/{world.open.pk}?offer=1")

    for address in ("/requests", "/admin/", "/admin/applicants/", "/admin/unanswered/"):
        yield State(f"{address} for staff", world.sam, address)
    yield State("nobody ticked", world.sam, "/admin/applicants/", _nobody_ticked)
    yield State("reports", world.sam, "/admin/moderation/report/")
    yield State("a report that was acted on", world.sam, f"/admin/moderation/report/{report}/change/")
    yield State("messages to staff", world.sam, "/admin/contact/contactmessage/")

    ada = world.ada
    for address in (
        "/requests",
        "/requests/new",
        "/my/requests",
        "/my/offers",
        "/contact",
        "/account",
        "/account/erase",
    ):
        yield State(address, ada, address)
    yield State("own request", ada, f"/requests/{world.own.pk}", _menus)
    ending = world.make.help_request(user=ada, title="Milk", expires_at=timezone.now() + timedelta(days=3))
    yield State("own request that ends soon", ada, f"/requests/{ending.pk}")
    yield State("own request completed", ada, f"/requests/{completed.pk}")
    yield State("somebody's request", ada, f"/requests/{world.other.pk}")
    yield State("a request taken back", ada, f"/requests/{cancelled.pk}")
    yield State("offering", ada, f"/requests/{world.open.pk}?offer=1")
    yield State("offering a number", ada, f"/requests/{world.open.pk}?offer=1", _personal)
    yield State("an offer that failed", ada, f"/requests/{world.open.pk}?offer=1", _failed_offer)
    yield State("messages", ada, "/messages", _menus)
    yield State("unread", ada, "/messages?show=unread")
    yield State("archive", ada, "/messages?show=archived")
    yield State("just archived", ada, "/messages?done=archived")
    for name, key in (
        ("offered", world.offered),
        ("closed", world.closed()),
        ("blocked", world.blocked()),
        ("blocked by the other", world.blocked_by_other()),
        ("departed", world.departed()),
        ("hidden", hidden),
        ("frozen as helper", world.frozen_helper),
        ("frozen as owner", world.frozen_owner),
    ):
        yield State(f"thread, {name}", ada, f"/messages/{key}")
    yield State("thread with its menus", ada, f"/messages/{world.mine}", _menus)
    yield State("a message that failed", ada, f"/messages/{world.mine}", _unsent)
    shut = world.offer(by=world.ben, to=ada)
    yield State("closed meanwhile", ada, f"/messages/{shut}", _closed_meanwhile(world.ben, shut))
    yield State("reported", ada, f"/messages/{world.offered}?reported=1")
    yield State("reporting a message", ada, f"/messages/{world.offered}/report")
    yield State("reporting refused", ada, f"/messages/{world.offered}/report", _refused("words", "Report it"))
    yield State("reporting a member", ada, f"/messages/{world.offered}/participant/report")
    yield State("reporting a request", ada, f"/requests/{world.other.pk}/report")
    yield State("asking refused", ada, "/requests/new", _refused("title", "Post my request"))
    yield State("signing out", ada, "/logout")
    yield State("a form that is shown again", ada, "/requests/new", _lost("csrftoken"))
    yield State("signed out in a thread", ada, f"/messages/{world.mine}", _signed_out)
    yield State("a form of who is signed out", ada, "/requests/new", _lost("sessionid"))
