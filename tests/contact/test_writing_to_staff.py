"""Anybody writes to staff, staff alone read it, and no message is lost or kept twice."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.db import ProgrammingError
from django.db.models import F
from django.test import Client
from django.utils import timezone

from carecollective.accounts.models import MessagingPreferences, User
from carecollective.contact.models import ContactMessage
from carecollective.contact.services import (
    mark_answered,
    prune_messages,
    queue_messages_waiting,
    read_messages_waiting,
)
from carecollective.core.database import acting_as
from carecollective.core.errors import NotPermitted
from carecollective.core.retention import CONTACT_MESSAGES_KEPT
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import OutgoingMail
from tests.pages.test_accounts import form_at
from tests.roles import as_role

pytestmark = pytest.mark.django_db

MakeMember = Callable[..., User]
WORDS = "I cannot sign in, and my neighbour waits for me."


@pytest.fixture
def amina(member: MakeMember) -> User:
    return member(name="Amina", email="amina@example.org", is_staff=True)


def write(browser: Client, **fields: str) -> Any:
    form = form_at(browser, "/contact") | {"name": "Zoë", "email": "zoe@example.org", "text": WORDS} | fields
    return browser.post("/contact", form)


def seen() -> list[ContactMessage]:
    return list(ContactMessage.objects.order_by("created_at"))


def kept() -> list[ContactMessage]:
    with as_role("ops"):
        return seen()


def tell_staff() -> int:
    queue_messages_waiting()
    return send_waiting()


def test_a_visitor_writes_and_staff_are_told_by_mail(amina: User) -> None:
    answer = write(Client())
    assert (answer.status_code, answer["Location"]) == (302, "/contact?sent=1")
    assert "has reached us" in Client().get("/contact?sent=1").content.decode()
    (message,) = kept()
    assert (message.name, message.email, message.text, message.member) == ("Zoë", "zoe@example.org", WORDS, None)
    tell_staff()
    (letter,) = mail.outbox
    assert letter.to == [amina.email]
    assert "/admin/contact/contactmessage/" in letter.body
    assert WORDS not in letter.body


def test_staff_are_reminded_daily_as_each_chose(amina: User, member: MakeMember) -> None:
    ben = member(name="Ben", email="ben@example.org", is_staff=True)
    MessagingPreferences.objects.filter(user=ben).update(mail_about_reports=False)
    write(Client())
    for hours, due in ((0, 1), (2, 0), (23, 1)):
        with as_role("owner"):
            for model in (OutgoingMail, ContactMessage):
                model.objects.update(created_at=F("created_at") - timedelta(hours=hours))
        assert tell_staff() == due
    assert [letter.to for letter in mail.outbox] == [[amina.email]] * 2


def test_a_member_need_not_say_who_they_are(member: MakeMember) -> None:
    dolores = member(name="Dolores", email="dolores@example.org")
    browser = Client()
    browser.force_login(dolores)
    assert 'name="email"' not in browser.get("/contact").content.decode()
    write(browser, name="Amina", email="amina@example.org")
    (message,) = kept()
    assert (message.member, message.name, message.email) == (dolores, "Dolores", "dolores@example.org")


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", " "), ("email", "zoe"), ("text", "\n"), ("text", "x" * 2001), ("name", "x" * 81), ("text", "a\x00b")],
)
def test_what_cannot_be_taken_is_named_and_typed_text_stays(field: str, value: str) -> None:
    answer = write(Client(), **{field: value})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert f'id="id_{field}_error"' in page
    assert field == "text" or WORDS in page
    assert not kept()


def test_a_form_sent_twice_is_one_message() -> None:
    browser = Client()
    form = form_at(browser, "/contact") | {"name": "Zoë", "email": "zoe@example.org", "text": WORDS}
    for _click in range(2):
        assert browser.post("/contact", form).status_code == 302
    assert len(kept()) == 1


def test_a_program_that_fills_in_the_trap_is_not_kept() -> None:
    answer = write(Client(), website="https://example.org")
    assert (answer.status_code, answer["Location"]) == (302, "/contact?sent=1")
    assert not kept()


def test_five_in_an_hour_are_enough() -> None:
    for number in range(5):
        assert write(Client(), text=f"{WORDS} {number}").status_code == 302
    answer = write(Client(), text=f"{WORDS} once more")
    assert answer.status_code == 429
    assert answer["Retry-After"]
    assert "once more" in answer.content.decode()
    assert len(kept()) == 5


def test_a_form_that_is_sent_again_is_taken_and_not_counted() -> None:
    browser = Client()
    forms = [
        form_at(browser, "/contact") | {"name": "Zoë", "email": "zoe@example.org", "text": WORDS} for _each in "12345"
    ]
    for form in forms:
        assert [browser.post("/contact", form).status_code for _click in range(3)] == [302] * 3
    assert browser.post("/contact", forms[0])["Location"] == "/contact?sent=1"
    assert len(kept()) == 5


def test_staff_read_and_mark_what_was_answered(amina: User, member: MakeMember) -> None:
    write(Client())
    (message,) = kept()
    browser = Client()
    browser.force_login(amina)
    listed = browser.get("/admin/contact/contactmessage/").content.decode()
    assert "Zoë" in listed
    page = browser.get(f"/admin/contact/contactmessage/{message.pk}/change/").content.decode()
    assert "mailto:zoe@example.org" in page
    assert WORDS in page
    assert read_messages_waiting(reader=amina).count == 1
    chosen = {"action": "mark_as_answered", "_selected_action": [str(message.pk)]}
    browser.post("/admin/contact/contactmessage/", chosen)
    assert [message.answered_by for message in kept()] == [amina]
    assert read_messages_waiting(reader=amina).count == 0
    with pytest.raises(NotPermitted):
        mark_answered(actor=member(), message_ids=[message.pk])


def test_staff_hear_nothing_once_all_is_answered(amina: User) -> None:
    write(Client())
    queue_messages_waiting()
    mark_answered(actor=amina, message_ids=[message.pk for message in kept()])
    send_waiting()
    assert not mail.outbox


def test_old_messages_are_deleted(beyond_policies: Callable[[], Any]) -> None:
    write(Client())
    write(Client(), text=f"{WORDS} lately")
    old = timezone.now() - CONTACT_MESSAGES_KEPT - timedelta(minutes=1)
    with beyond_policies():
        ContactMessage.objects.filter(text=WORDS).update(created_at=old)
    assert prune_messages() == 1
    assert [message.text for message in kept()] == [f"{WORDS} lately"]


def test_the_database_shows_messages_to_staff_and_writer(amina: User, member: MakeMember) -> None:
    dolores, ben = member(), member()
    browser = Client()
    browser.force_login(dolores)
    write(browser)
    write(Client())
    assert not seen()
    for reader, count in ((amina, 2), (dolores, 1), (ben, 0)):
        with acting_as(reader):
            assert len(seen()) == count


def test_the_database_lets_nobody_write_as_another(member: MakeMember) -> None:
    dolores, ben = member(), member()
    with pytest.raises(ProgrammingError, match="row-level security"), acting_as(ben):
        ContactMessage.objects.create(pk=uuid4(), member=dolores, name="D", email="", text=WORDS)
