"""Joining with an address that is a member's looks like joining with any other; the member is told by mail."""

import re
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError
from django.test import Client

from carecollective.accounts.models import User
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import OutgoingMail
from tests.pages.test_accounts import PASSWORD, form_at

pytestmark = pytest.mark.django_db

MakeMember = Callable[..., User]


@pytest.fixture
def ada(member: MakeMember) -> User:
    return member(name="Ada", email="ada@example.org", set_password="a member's own words")


def join(email: str, browser: Client | None = None, **fields: str) -> Any:
    form = form_at(Client(), "/signup") | {"name": "Zoë", "email": email, "password": PASSWORD} | fields
    return (browser or Client()).post("/signup", form)


def what_a_browser_gets(email: str) -> tuple[object, ...]:
    """Return all that joining with this address shows, but for what no two pages share."""
    browser = Client()
    answer = join(email, browser)
    page = browser.get(answer["Location"])
    same = re.compile(r'name="(csrfmiddlewaretoken|id|rendered-at)".*?>')
    texts = [same.sub("", one.content.decode()).replace(email.lower(), "ADDRESS") for one in (answer, page)]
    headers = [
        {name: value for name, value in one.items() if name not in ("X-Request-ID", "Expires")}
        for one in (answer, page)
    ]
    return answer.status_code, page.status_code, texts, headers, sorted(browser.cookies)


def test_taken_and_free_addresses_get_the_same_answer(ada: User) -> None:
    free, taken = what_a_browser_gets("zoe@example.org"), what_a_browser_gets("ADA@example.org")
    assert free == taken
    assert free[:2] == (302, 200)
    assert User.objects.get(email="zoe@example.org").check_password(PASSWORD)
    ada.refresh_from_db()
    assert ada.check_password("a member's own words")


def test_an_address_that_is_taken_takes_as_long_as_one_that_is_free(ada: User) -> None:
    took: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(5):
        for is_taken in (True, False):
            began = perf_counter()
            join("ada@example.org" if is_taken else f"zoe{turn}@example.org")
            took[is_taken].append(perf_counter() - began)
    assert 0.5 < median(took[True]) / median(took[False]) < 2


def test_the_member_is_told_by_mail_and_once_a_day(ada: User) -> None:
    for _try in range(3):
        join("ada@example.org")
        send_waiting()
    (letter,) = mail.outbox
    assert letter.to == ["ada@example.org"]
    assert "You are already a member" in letter.subject
    assert "/login" in letter.body
    assert "Zoë" not in letter.body


def test_nobody_else_is_told(ada: User, member: MakeMember) -> None:
    member(email="gone@example.org", is_active=False)
    form = form_at(Client(), "/signup") | {"name": "Zoë", "email": "zoe@example.org", "password": PASSWORD}
    for _click in range(2):
        Client().post("/signup", form)
    join("gone@example.org")
    assert not OutgoingMail.objects.exclude(recipient__email="zoe@example.org").exists()


def test_an_unexpected_database_error_is_no_successful_sign_up(monkeypatch: Any) -> None:
    def refuse(*_given: Any, **_named: Any) -> None:
        raise IntegrityError("a rule of the legacy system's")

    monkeypatch.setattr(User, "save", refuse)
    with pytest.raises(IntegrityError):
        join("zoe@example.org")
