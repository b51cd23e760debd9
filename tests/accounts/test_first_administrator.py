"""The first member of staff of an empty database, from the command line."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.test import Client

from carecollective.accounts.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]


def create(capsys, *arguments):
    call_command("create_administrator", *arguments)
    return capsys.readouterr().out


def test_the_link_leads_into_the_control_room_once(capsys):
    said = create(capsys, "Olga@Example.org", "--name", "Olga")
    (path,) = re.findall(r"http://127.0.0.1:\d+(/password\?\S+)", said)
    fields = dict(part.split("=") for part in path.partition("?")[2].split("&"))
    browser = Client()
    assert browser.get(path).status_code == 200
    assert browser.post("/password", fields | {"password": "seven yellow pears"}).status_code == 302
    signed_in = {"email": "olga@example.org", "password": "seven yellow pears"}
    assert browser.post("/login", signed_in).status_code == 302
    assert browser.get("/admin/", follow=True).status_code == 200
    assert "used already" in Client().post("/password", fields | {"password": "eight blue plums"}).content.decode()
    olga = User.objects.get(email="olga@example.org")
    assert (olga.name, olga.is_staff, olga.is_superuser, olga.is_approved) == ("Olga", True, True, True)
    assert LogEntry.objects.get().get_change_message() == "Made an administrator at the command line."


def test_a_member_keeps_their_password(capsys, member):
    ada = member(name="Ada", email="ada@example.org", set_password="three green apples")
    assert "sign in with the password" in create(capsys, "ada@example.org")
    ada.refresh_from_db()
    assert (ada.name, ada.is_staff, ada.is_superuser) == ("Ada", True, True)
    assert ada.check_password("three green apples")


def test_where_there_is_one_it_takes_a_word_more(capsys, member):
    create(capsys, "olga@example.org", "--name", "Olga")
    with pytest.raises(CommandError, match=r"is an administrator already.* add --another\.$"):
        create(capsys, "ben@example.org", "--name", "Ben")
    create(capsys, "ben@example.org", "--name", "Ben", "--another")
    assert User.objects.filter(is_superuser=True).count() == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["olga", "--name", "Olga"], "Please check your e-mail address."),
        (["olga@example.org"], "Please tell us your name."),
    ],
)
def test_what_cannot_be_taken_is_one_sentence(capsys, arguments, sentence):
    with pytest.raises(CommandError) as refusal:
        create(capsys, *arguments)
    assert str(refusal.value) == sentence
    assert not User.objects.exists()


def test_who_was_shut_out_stays_out(capsys, member):
    member(email="ada@example.org", is_active=False)
    with pytest.raises(CommandError, match="may not sign in"):
        create(capsys, "ada@example.org")
    assert not User.objects.filter(is_superuser=True).exists()
