"""One form sent twice at once, by the site's own pages: one row, and both lead to the same page."""

from functools import partial

import pytest
from axes.models import AccessAttempt
from django.test import Client

from carecollective.inbox.services import offer_help
from tests.hostile.forms import forms_of
from tests.races.crowd import FORM_TRIALS

OFFER = "Hello, I can bring them on Monday."
STAGES = {"v1": "disabled", "v2": "enabled"}
TABLES = {"v1": "messages", "v2": "messages_v2"}
CLICKS = 4


def field_of(page, name):
    """Return what the page's own form has in a field that nobody sees."""
    return next(form.fields[name] for form in forms_of("/", page.content.decode()) if name in form.fields)


@pytest.fixture
def click(crowd, signed_in):
    """Send one form several times at once, as the member; return where each answer leads."""

    def send(member, path, form):
        browsers = [signed_in(member) for _click in range(CLICKS)]
        answers = crowd(*(partial(browser.post, path, form) for browser in browsers))
        assert [getattr(answer, "status_code", answer) for answer in answers] == [302] * CLICKS
        return {answer["Location"] for answer in answers}

    return send


def test_a_request_form_clicked_twice_is_one_request(click, owner, signed_in, rows_of):
    for trial in range(FORM_TRIALS):
        key = field_of(signed_in(owner).get("/requests/new"), "id")
        places = click(owner, "/requests/new", {"id": key, "title": f"Milk {trial}", "description": "Two litres"})
        assert len(places) == 1
        stored = rows_of("SELECT id FROM help_requests WHERE title = %s", f"Milk {trial}")
        assert places == {f"/requests/{row[0]}" for row in stored}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_message_form_clicked_twice_is_one_message(click, owner, helper, ask, stage, signed_in, rows_of, version):
    stage(STAGES[version])
    thread = offer_help(actor=helper, help_request_id=ask().pk, initial_message=OFFER).conversation_id
    for trial in range(FORM_TRIALS):
        key = field_of(signed_in(owner).get(f"/messages/{thread}"), "id")
        places = click(owner, f"/messages/{thread}", {"id": key, "message": f"Number {trial}"})
        assert places == {f"/messages/{thread}#latest"}
        stored = rows_of(f"SELECT count(*) FROM {TABLES[version]} WHERE content = %s", f"Number {trial}")
        assert stored == [(1,)]


def test_a_report_form_clicked_twice_is_one_report(click, owner, helper, ask, stage, rows_of):
    stage("enabled")
    for _trial in range(FORM_TRIALS):
        thread = offer_help(actor=helper, help_request_id=ask().pk, initial_message=OFFER).conversation_id
        places = click(owner, f"/messages/{thread}/report", {"reason": "other", "words": "Please look"})
        assert len(places) == 1
        assert rows_of("SELECT count(*) FROM moderation_report WHERE conversation_id = %s", thread) == [(1,)]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_offer_form_clicked_twice_is_one_conversation(click, helper, ask, stage, version):
    stage(STAGES[version])
    for _trial in range(FORM_TRIALS):
        places = click(helper, f"/requests/{ask().pk}", {"initial_message": OFFER})
        assert len(places) == 1


def test_a_sign_up_form_clicked_twice_is_one_member_who_may_sign_in(crowd, rows_of, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    for trial in range(FORM_TRIALS):
        email = f"zoe{trial}@example.org"
        form = {"name": "Zoë", "email": email, "password": "three green apples"}
        form["id"] = field_of(Client().get("/signup"), "id")
        answers = crowd(*(partial(Client().post, "/signup", form) for _click in range(CLICKS)))
        assert [getattr(answer, "status_code", answer) for answer in answers] == [302] * CLICKS
        assert {answer["Location"] for answer in answers} == {"/account/email/code"}
        assert Client().post("/login", form)["Location"] == "/account?welcome=1"
        assert rows_of("SELECT count(*) FROM profiles WHERE email = %s", email) == [(1,)]
        # A code for each browser, and no word of an address that was taken.
        assert rows_of("SELECT count(*) FROM mail_outgoingmail WHERE kind = 'member_already'") == [(0,)]
        assert rows_of("SELECT count(*) FROM core_clientratelimithit WHERE action = 'sign_up'") == [(trial + 1,)]


def test_a_message_to_staff_clicked_twice_is_kept_and_counted_once(crowd, rows_of):
    for trial in range(3):
        words = {"name": "Zoë", "email": "zoe@example.org", "text": "I cannot sign in."}
        form = words | {"id": field_of(Client().get("/contact"), "id")}
        answers = crowd(*(partial(Client().post, "/contact", form) for _click in range(CLICKS)))
        assert [getattr(answer, "status_code", answer) for answer in answers] == [302] * CLICKS
        for table in ("contact_contactmessage", "core_clientratelimithit WHERE action = 'contact'"):
            assert rows_of(f"SELECT count(*) FROM {table}") == [(trial + 1,)]


def test_leaving_clicked_twice_is_leaving(click, member, rows_of, settings, signed_in):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    for _trial in range(FORM_TRIALS):
        ada = member(set_password="three green apples")
        form = {"leaving": field_of(signed_in(ada).get("/account/erase"), "leaving"), "password": "three green apples"}
        assert click(ada, "/account/erase", form) == {"/account/erased"}
        assert rows_of("SELECT count(*) FROM privacy_erasure WHERE member_id = %s", ada.pk) == [(1,)]
        assert not AccessAttempt.objects.exists()
