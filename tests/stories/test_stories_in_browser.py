"""Three people go the whole way, in a real browser and with real mail: nobody types a word twice, and nobody is stuck."""

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from carecollective.inbox.replies.services import Received
from carecollective.inbox.services import offer_help, send_message
from carecollective.moderation.services import report_message
from tests.browser import DESKTOP, PHONE

pytestmark = pytest.mark.slow
VERA, WILMA, BEN, SAM = (f"{name}@example.org" for name in ("vera", "wilma", "ben", "sam"))
PASSWORD = "three green apples"


@pytest.fixture(autouse=True)
def enabled(settled_stage):
    settled_stage("enabled")


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def sign_in(page, email, password=PASSWORD):
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    press(page, "Sign in")


def approve(page, name):
    """Approve an applicant on the page that the mail leads to."""
    page.get_by_role("checkbox", name=name).check()
    press(page, "Approve")
    expect(page.get_by_text(f"Approved: {name}.")).to_be_visible()


def test_a_volunteer_joins_on_a_phone_and_reads_the_first_answer(open_page, post, member, staff, help_request):
    sam = staff(name="Sam", email=SAM)
    wilma = member(name="Wilma Brandt", email=WILMA)
    help_request(user=wilma, title="A lift to the doctor")
    phone = open_page("/requests", viewport=PHONE, is_mobile=True, has_touch=True)
    phone.get_by_role("link", name="A lift to the doctor").click()
    phone.get_by_role("link", name="Offer Help").click()
    phone.get_by_role("link", name="Join Care Collective").click()

    # The first password is too short: only that is asked for again.
    phone.get_by_label("Your name").fill("Vera Lindt")
    phone.get_by_label("E-mail").fill(VERA)
    phone.get_by_label("Password").fill("apples")
    phone.get_by_label("Town").fill("Springfield")
    phone.get_by_label("Why would you like to join?").fill("I have a car and time.")
    press(phone, "Join")
    expect(phone.get_by_label("Password")).to_be_focused()
    expect(phone.get_by_label("Why would you like to join?")).to_have_value("I have a car and time.")
    phone.get_by_label("Password").fill(PASSWORD)
    press(phone, "Join")
    code = phone.get_by_label("The code from the mail")
    expect(code).to_be_visible()
    code.fill(post.letter_to(VERA).code.lower())
    press(phone, "Confirm")
    expect(phone.get_by_role("heading", name="Your membership is waiting for approval")).to_be_visible()
    expect(phone.get_by_role("link", name="the page that you came for")).to_be_visible()

    told = post.letter_to(SAM)
    assert told.subject == "1 person waits to join"
    approve(open_page(told.link, sam, viewport=DESKTOP), "Vera Lindt")

    welcome = post.letter_to(VERA)
    assert welcome.subject == "Welcome to Care Collective"
    phone.goto(welcome.link)
    words = phone.get_by_label("Your message")
    expect(words).to_be_focused()
    words.press_sequentially("I could drive you on ")
    Session.objects.all().delete()
    words.press_sequentially("Friday at nine.")
    press(phone, "Send")
    phone.get_by_role("link", name="Sign in again").click()
    sign_in(phone, VERA)
    expect(words).to_be_focused()
    expect(words).to_have_value("I could drive you on Friday at nine.")
    press(phone, "Send")
    expect(phone.locator(".bubble.mine .words")).to_have_text("I could drive you on Friday at nine.")

    offered = post.letter_to(WILMA)
    assert offered.subject == "Vera Lindt offers to help: A lift to the doctor"
    owner = open_page(offered.link, wilma, viewport=DESKTOP)
    owner.get_by_label("Your message").fill("That would be wonderful.")
    press(owner, "Send")
    expect(owner.locator(".bubble.mine:not(.pending)")).to_be_visible()

    phone.goto("/requests")
    answered = post.letter_to(VERA)
    assert answered.subject == "Wilma Brandt wrote to you: A lift to the doctor"
    phone.goto(answered.link)
    expect(phone.get_by_text("That would be wonderful.")).to_be_in_viewport()


def test_a_caregiver_learns_of_all_by_mail_and_answers_days_later(
    open_page, post, wait, member, help_request, settings
):
    settings.MAIL_DELAY_SECONDS = 300
    wilma = member(name="Wilma Brandt", email=WILMA, set_password=PASSWORD)
    ben = member(name="Ben Okoro", email=BEN)
    request = help_request(user=wilma, title="Shopping for my mother")
    thread = offer_help(
        actor=ben, help_request_id=request.pk, initial_message="I shop on Saturdays anyway."
    ).conversation_id

    wait(minutes=6)
    offered = post.letter_to(WILMA)
    assert offered.subject == "Ben Okoro offers to help: Shopping for my mother"
    wait(days=2)
    # Signed out on this device, and a slip of the hand: the link still leads where it did.
    page = open_page(offered.link, viewport=PHONE)
    sign_in(page, WILMA, "two green apples")
    expect(page.get_by_label("E-mail")).to_have_value(WILMA)
    sign_in(page, WILMA)
    expect(page.get_by_text("I shop on Saturdays anyway.")).to_be_in_viewport()
    page.get_by_label("Your message").fill("Saturday is perfect.")
    press(page, "Send")
    expect(page.locator(".bubble.mine:not(.pending)")).to_be_visible()
    page.close()

    wait(minutes=6)
    assert post.letter_to(BEN).subject == "Wilma Brandt wrote to you: Shopping for my mother"
    reader = open_page(f"/messages/{thread}", ben, viewport=DESKTOP)
    reader.get_by_label("Your message").fill("What shall I bring?")
    press(reader, "Send")
    expect(reader.locator(".bubble.mine:not(.pending)")).to_have_count(2)
    reader.close()
    wait(minutes=61)
    asked = post.letter_to(WILMA)
    assert asked.subject == "Ben Okoro wrote to you: Shopping for my mother"
    assert "reply to this mail" in asked.text
    wait(days=2)
    # Sent too early, with nothing above the quoted mail: the answer says so, and takes the next try.
    assert asked.reply("") is Received.REFUSED
    refused = post.letter_to(WILMA)
    assert refused.subject == "Your answer was not delivered"
    assert refused.reply("Milk, bread and two lemons, please.") is Received.POSTED
    wait(minutes=61)
    answered = post.letter_to(BEN)
    assert answered.subject == "Wilma Brandt wrote to you: Shopping for my mother"
    reader = open_page(answered.link, ben, viewport=DESKTOP)
    expect(reader.locator(".bubble:not(.mine) .words").last).to_have_text("Milk, bread and two lemons, please.")

    # Its time ends: she hears of it before and after, and asks again with one click.
    wait(days=24)
    ending = post.letter_to(WILMA)
    assert ending.subject == "Your request ends soon: Shopping for my mother"
    wait(days=3)
    ended = post.letters_to(WILMA)
    wait(minutes=6)
    ended += post.letters_to(WILMA)
    assert [letter.subject for letter in ended] == ["Your request has ended: Shopping for my mother"]
    page = open_page(ended[0].link, wilma, viewport=PHONE)
    press(page, "Ask again")
    page.get_by_text("Mark as completed").click()
    press(page, "Yes, it is done")
    press(page, "Ben Okoro helped me")
    wait(minutes=6)
    assert post.letter_to(BEN).subject == "Completed: Shopping for my mother"
    assert post.letters_to(WILMA) == []


def test_a_moderator_stops_a_threat_within_a_few_pages(open_page, post, member, staff, help_request):
    sam = staff(name="Sam", email=SAM, set_password=PASSWORD)
    wilma, ben = member(name="Wilma Brandt", email=WILMA), member(name="Ben Okoro", email=BEN)
    request = help_request(user=wilma, title="A new lock for my door")
    thread = offer_help(
        actor=ben, help_request_id=request.pk, initial_message="I know where you live, so I can come by."
    )
    said = send_message(actor=ben, conversation_id=thread.conversation_id, content="Pay me, or you will be sorry.")
    post.letters_to(WILMA)
    report_message(
        actor=wilma,
        conversation_id=thread.conversation_id,
        message_id=said.message.id,
        reason="harassment",
        words="He frightens me.",
    )
    told = post.letter_to(SAM)
    assert told.subject == "1 report waits"
    page = open_page("/admin/", sam, viewport=DESKTOP)
    expect(page.get_by_role("link", name="1 report to look at")).to_be_visible()
    pages = []
    page.on("framenavigated", lambda frame: pages.append(frame.url))
    page.goto(told.link)
    page.get_by_role("row", name="Wilma Brandt").get_by_role("link").click()
    press(page, "Show the message")
    expect(page.get_by_text("Pay me, or you will be sorry.")).to_be_visible()
    # Nothing was chosen: what was written stays.
    page.get_by_label("Why (for staff; needed)").fill("A threat.")
    press(page, "Do it")
    expect(page.get_by_text("Please choose what to do.")).to_be_visible()
    expect(page.get_by_label("Why (for staff; needed)")).to_have_value("A threat.")
    page.get_by_label("What:").select_option(label="Hide the message")
    press(page, "Do it")
    expect(page.get_by_text("Pay me, or you will be sorry.")).to_be_visible()
    page.get_by_label("What:").select_option(value="no_messages")
    page.get_by_label("for how long").select_option(label="30 days")
    page.get_by_label("Why (for staff; needed)").fill("A threat.")
    page.get_by_label("To the member").fill("Please take a break. We would like everybody to feel safe here.")
    press(page, "Do it")
    expect(page.get_by_text("Done. The member is told").last).to_be_visible()
    # From the mail: list, report, message, a slip, hidden, restricted.
    assert len(pages) == 6, pages
    page.goto("/admin/")
    expect(page.get_by_text("Nothing waits.")).to_be_visible()

    assert post.letter_to(WILMA).subject == "What came of your report at Care Collective"
    kind = [letter.text for letter in post.letters_to(BEN)]
    assert [letter.count("We would like everybody to feel safe here.") for letter in kind] == [0, 1]
    assert ["hidden one of your messages" in letter for letter in kind] == [True, False]
    owner = open_page(f"/messages/{thread.conversation_id}", wilma, viewport=PHONE)
    expect(owner.locator(".bubble.withheld")).to_have_count(1)
    expect(owner.get_by_text("Pay me")).to_have_count(0)
    restricted = open_page(f"/messages/{thread.conversation_id}", ben, viewport=PHONE)
    expect(restricted.get_by_text("Pay me")).to_have_count(0)
    expect(restricted.get_by_role("heading", name="Your messages are paused until")).to_be_visible()
    expect(restricted.locator("[name=message]")).to_have_count(0)
    restricted.get_by_role("link", name="Your account page", exact=True).click()
    expect(restricted.get_by_text("Your offers and messages are paused.")).to_be_visible()
