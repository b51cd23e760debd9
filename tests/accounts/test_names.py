"""Nobody takes the name of the site, of a placeholder or of staff, however it is spelt."""

import random
import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecollective.accounts.models import User
from carecollective.accounts.names.rules import SITES_OWN, read_name
from carecollective.accounts.names.skeleton import confusables, look_keys, skeleton
from carecollective.accounts.services import create_administrator, sign_up, update_profile
from carecollective.core.errors import ValidationRefused
from carecollective.core.text import SITE_NAME
from tests.accounts.forms import change_member

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

STAFF = "Amina Yusuf"
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u3164\ufe0f"
ORDINARY = (
    *("Zoë", "Nguyễn", "李", "أمينة", "O'Neil", "Jean-Luc", "José María", "Søren", "Łukasz", "Ümit", "Íñigo", "Ștefan"),
    *("Νίκος", "Ольга", "Գայանե", "დავით", "דוד", "فاطمه‌زهرا", "मीना कुमारी", "তানিয়া", "தமிழ்", "สมชาย", "ភីរម្យ", "さくら"),
    *("김민준", "ਗੁਰਪ੍ਰੀਤ", "ሰላም", "Dr. Ada Lovelace", "Amina Y.", "Carey Collet", "Formerly Ben", "Anne-Sophie d'Arc"),
)


@pytest.fixture
def amina(staff):
    return staff(name=STAFF)


def problem(name, of=None):
    refused: dict[str, list[Any]] = {}
    read_name(name, refused=refused, of=of)
    return str(refused["name"][0]) if refused else ""


def disguise(name, pick):
    """Spell a name in another case, with letters that look alike, and with invisible characters and spaces in it."""
    alike: dict[str, list[str]] = {}
    for character, prototype in confusables().items():
        alike.setdefault(prototype, []).append(character)
    out = []
    for original in name:
        letter = original.upper() if pick.random() < 0.3 else original
        # Not into a control or a space, which a name has none of.
        choices = [one for one in alike.get(skeleton(letter), []) if unicodedata.category(one)[0] not in "CZ"]
        out.append(pick.choice(choices) if choices and pick.random() < 0.6 else letter)
        if pick.random() < 0.2:
            out.append(pick.choice(INVISIBLE + " -."))
    return "".join(out)


@quick
@given(name=st.sampled_from((SITE_NAME, *SITES_OWN, STAFF)), seed=st.integers(0, 2**32))
def test_a_reserved_name_is_refused_in_every_disguise(amina, name, seed):
    spelt = disguise(name, random.Random(seed))
    assert problem(spelt) or len(spelt) > 100, spelt.encode("unicode_escape")


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names_of_many_scripts_are_taken(amina, name):
    refused: dict[str, list[Any]] = {}
    assert (read_name(name, refused=refused), refused) == (name, {})


@quick
@given(text=st.text(max_size=60))
def test_names_look_like_themselves_in_any_case(text):
    assert look_keys(text) & look_keys(text.upper())
    assert look_keys(text) & look_keys(text.lower())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Care Collective", "taken for the site"),
        ("CАRЕ СОLLЕСТIVЕ support", "taken for the site"),
        ("ＦＯＲＭＥＲ member", "taken for the site"),
        ("A former membér", "taken for the site"),
        ("Staff ✅", "taken for the site"),
        ("amina yusuf", "add your surname"),
        ("Аmına  Yusuf.", "add your surname"),
        ("\u202dAmina\u202c Yusuf", "add your surname"),
        ("\u0301\u0301", "tell us your name"),
        ("\u3164 \u2800", "tell us your name"),
        ("\U0001f33b", "tell us your name"),
        ("12345", "tell us your name"),
        ("A" + "\u0301" * 9, "more accents"),
        ("a" * 101, "shorten"),
    ],
)
def test_a_refused_name_says_what_to_do(amina, name, said):
    assert said in problem(name)


def test_a_name_is_one_line_without_invisible_controls():
    refused: dict[str, list[Any]] = {}
    assert read_name(" Ada\n\u2067Love\u2069lace\u200e\u200b ", refused=refused) == "Ada Lovelace"
    assert not refused


def test_nobody_joins_under_a_name_of_staff(amina, client):
    with pytest.raises(ValidationRefused) as refusal:
        sign_up(name="Аmina Yusuf", email="eve@example.org", password="three green apples")
    assert list(refusal.value.fields) == ["name"]
    form = {"name": "AMINA YUSUF", "email": "eve@example.org", "password": "three green apples", "location": "Bern"}
    page = client.post("/signup", form)
    assert page.status_code == 400
    assert all(
        text in page.content.decode() for text in ("Please add your surname", 'value="AMINA YUSUF"', 'value="Bern"')
    )
    assert not User.objects.filter(email="eve@example.org").exists()


def test_a_change_of_name_is_held_and_an_old_name_kept(amina, member):
    ada, old = member(name="Ada"), member(name="Care  Collective\u202e")
    with pytest.raises(ValidationRefused):
        update_profile(actor=ada, name="Amina-Yusuf", location="")
    assert User.objects.get(pk=ada.pk).name == "Ada"
    update_profile(actor=old, name="Care Collective\u202e", location="Bern")
    assert (old.name, old.location) == ("Care  Collective\u202e", "Bern")


def test_staff_give_no_such_name_either(amina, staff, member, signed_in):
    root, ada = staff(name="Root"), member(name="Ada")
    client = signed_in(root)
    for name in ("Former Member", "Amınа Yusuf"):
        assert change_member(client, ada, name=name).status_code == 200
    assert change_member(client, ada, location="Bern").status_code == 302
    assert User.objects.get(pk=ada.pk).name == "Ada"
    with pytest.raises(ValidationRefused):
        create_administrator(email="new@example.org", name="Care Collective", although_there_is_one=True)
    assert not User.objects.filter(email="new@example.org").exists()
