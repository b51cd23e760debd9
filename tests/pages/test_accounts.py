"""Signing in and out, joining, and one's account."""

from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils.html import escape

from carecollective.accounts.models import MessagingPreferences, User
from tests.hostile.forms import forms_of

pytestmark = pytest.mark.django_db
PASSWORD = "three green apples"


@pytest.fixture
def ada(member):
    return member(name="Ada", email="ada@example.org", set_password=PASSWORD)


def sign_in(client, **fields):
    return client.post("/login", {"email": "ada@example.org", "password": PASSWORD} | fields)


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [
        ("", "/requests"),
        ("/messages", "/messages"),
        ("/requests/1?offer=1#offer", "/requests/1?offer=1#offer"),
        ("https://evil.example/", "/requests"),
        ("//evil.example/", "/requests"),
        ("javascript:alert(1)", "/requests"),
    ],
)
def test_signing_in_leads_back_but_only_within_the_site(visitor, ada, wanted, reached):
    response = sign_in(visitor, next=wanted, email=" ADA@example.org ")
    assert (response.status_code, response["Location"]) == (302, reached)
    assert "Sign out" in visitor.get("/requests").content.decode()


@pytest.mark.parametrize(
    "fields", [{"password": "wrong"}, {"email": "nobody@example.org"}, {"password": ""}, {"email": "\0"}]
)
def test_a_failed_sign_in_keeps_the_address_and_never_the_password(visitor, ada, fields):
    response = sign_in(visitor, **fields)
    page = response.content.decode()
    assert response.status_code == 400
    assert 'role="alert"' in page
    assert (fields.get("password") or PASSWORD) not in page
    assert visitor.get("/account").status_code == 302


def test_after_five_failures_the_door_stays_shut_for_a_while(visitor, ada):
    for _try in range(5):
        response = sign_in(visitor, password="wrong")
    assert response.status_code == 429
    assert response["Retry-After"] == "1800"
    assert "wait half an hour" in response.content.decode()
    assert sign_in(visitor).status_code == 429


def test_signing_out_asks_first(signed_in, ada):
    client = signed_in(ada)
    assert "Sign out?" in client.get("/logout").content.decode()
    assert client.get("/account").status_code == 200
    client.post("/logout")
    assert client.get("/account").status_code == 302


def test_who_joins_waits_for_approval_and_is_told_what_is_open(visitor):
    response = visitor.post(
        "/signup",
        {"name": "Zoë <3", "email": "Zoe@Example.org", "password": PASSWORD, "location": "Nixa", "reason": "To help"},
    )
    joined = User.objects.get(email="zoe@example.org")
    assert (joined.verification_status, joined.application_reason) == ("pending", "To help")
    assert "waiting for approval" in visitor.get(response["Location"]).content.decode()
    form = form_at(visitor, response["Location"]) | {"email": "zoe@example.org", "password": PASSWORD}
    page = visitor.post("/login", form, follow=True).content.decode()
    assert "waiting for approval" in page
    assert "Welcome, Zoë" in page


def test_a_refused_application_keeps_what_was_typed(visitor, ada):
    response = visitor.post("/signup", {"name": "<Zoë>", "email": "zoe@", "password": PASSWORD})
    page = response.content.decode()
    assert response.status_code == 400
    assert "check your e-mail address" in page
    assert escape("<Zoë>") in page
    assert PASSWORD in page
    assert User.objects.count() == 1


def form_at(client, address):
    """Return what the page's own form would send, fields that nobody sees and the CSRF token included."""
    answer = client.get(address)
    form = next(one for one in forms_of(address, answer.content.decode()) if one.path == urlsplit(address).path)
    return form.fields | {"csrfmiddlewaretoken": answer.context["csrf_token"]}


@pytest.fixture
def application():
    """Return what somebody sends who joins, with the form's one-time key."""
    words = {"name": "Zoë", "email": "Zoe@example.org", "password": PASSWORD, "location": "Nixa", "reason": "To help"}
    return form_at(Client(), "/signup") | words


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"password": "another green apple"},
        {"name": "Zoe"},
        {"id": ""},
        {"id": "0b7f4f0e-1f61-4e37-9a0f-3f6f0a2f8d11"},
    ],
)
def test_an_application_sent_twice_makes_one_member(application, changed):
    first = Client().post("/signup", application)
    browser = Client()
    answer = browser.post("/signup", application | changed)
    assert (answer.status_code, answer["Location"]) == (302, first["Location"])
    assert browser.get("/account").status_code == 302
    assert User.objects.get().check_password(PASSWORD)


@pytest.mark.parametrize(
    ("address", "typed", "reached"),
    [
        ("/login?next=/messages", {"email": "Ada@example.org", "password": PASSWORD}, "/messages"),
        ("/admin/login/", {"username": "ada@example.org", "password": PASSWORD}, "/admin/"),
    ],
)
def test_a_second_click_after_the_first_has_signed_in_leads_on(ada, address, typed, reached):
    """Signing in changes the CSRF token: the page that is still open has the one from before."""
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    browser = Client(enforce_csrf_checks=True)
    form = form_at(browser, address) | typed
    assert browser.post(address, form).status_code == 302
    again = browser.post(address, form, follow=True)
    assert again.redirect_chain[-1] == (reached, 302)


def test_an_old_sign_in_page_lets_nobody_else_in(ada, member):
    member(email="ben@example.org", set_password=PASSWORD)
    browser = Client(enforce_csrf_checks=True)
    form = form_at(browser, "/login") | {"password": PASSWORD}
    assert browser.post("/login", form | {"email": "ada@example.org"}).status_code == 302
    assert browser.post("/login", form | {"email": "ben@example.org"}).status_code == 403


def test_a_member_changes_name_and_town(signed_in, ada):
    client = signed_in(ada)
    client.post("/account", {"form": "profile", "name": "Ada  Lovelace", "location": "Ozark"})
    ada.refresh_from_db()
    assert (ada.name, ada.location) == ("Ada Lovelace", "Ozark")
    refused = client.post("/account", {"form": "profile", "name": " ", "location": "Nixa"})
    assert refused.status_code == 400
    assert "tell us your name" in refused.content.decode()
    assert 'value="Nixa"' in refused.content.decode()


def test_a_member_chooses_what_to_hear_of_and_when(signed_in, ada):
    client = signed_in(ada)
    client.post("/account", {"form": "preferences", "quiet_hours_start": "22:00", "quiet_hours_end": "07:30"})
    kept = MessagingPreferences.objects.get(user=ada)
    assert (kept.email_notifications, str(kept.quiet_hours_start), str(kept.quiet_hours_end)) == (
        False,
        "22:00:00",
        "07:30:00",
    )
    page = client.get("/account").content.decode()
    assert 'value="22:00"' in page
    assert 'value="07:30"' in page


@pytest.mark.parametrize("start", ["22:00", "half past ten"])
def test_half_of_the_quiet_hours_is_refused(signed_in, ada, start):
    response = signed_in(ada).post("/account", {"form": "preferences", "quiet_hours_start": start})
    assert response.status_code == 400
    assert "field-error" in response.content.decode()


def test_a_page_kept_open_too_long_says_what_to_do(ada):
    from django.test import Client

    response = sign_in(Client(enforce_csrf_checks=True))
    assert response.status_code == 403
    page = response.content.decode()
    assert "Please send it again" in page
    # The address is still there; the password is typed once more.
    assert (forms_of("/login", page)[0].path, PASSWORD in page) == ("/login", False)
    assert 'type="password" name="password"' in page


@pytest.mark.parametrize(
    ("action", "status", "reason"), [("approve", "approved", None), ("reject", "rejected", "We could not reach you.")]
)
def test_staff_decide_on_waiting_members_in_the_admin(signed_in, staff, member, action, status, reason):
    waiting = member(verification_status="pending")
    client = signed_in(staff(is_superuser=False))
    page = client.get("/admin/accounts/user/")
    assert waiting.name in page.content.decode()
    client.post(
        "/admin/accounts/user/",
        {"action": action, "_selected_action": str(waiting.pk), "reason": reason or ""},
    )
    waiting.refresh_from_db()
    assert (waiting.verification_status, waiting.rejection_reason) == (status, reason)


def test_staff_read_requests_and_members_without_rewriting_them(signed_in, staff, help_request):
    request = help_request()
    client = signed_in(staff())
    for address in ("/admin/help_requests/helprequest/", f"/admin/help_requests/helprequest/{request.pk}/change/"):
        assert request.title in client.get(address).content.decode()
    assert client.get("/admin/help_requests/helprequest/add/").status_code == 403
    assert client.get(f"/admin/accounts/user/{request.user_id}/change/").status_code == 200
    assert client.get(f"/admin/accounts/user/{request.user_id}/delete/").status_code == 403


def test_a_members_link_to_the_admin_leads_nowhere(signed_in, ada):
    client = signed_in(ada)
    assert client.get("/admin/accounts/user/").status_code == 302
    assert "/admin/" not in client.get("/requests").content.decode()


def test_staff_keep_the_name_under_which_their_deeds_are_on_record(signed_in, staff):
    sam = staff(name="Sam")
    answer = signed_in(sam).post("/account", {"form": "profile", "name": "Amina", "location": "Elsewhere"})
    assert answer.status_code == 400
    assert "on record under their names" in answer.content.decode()
    sam.refresh_from_db()
    assert (sam.name, sam.location) != ("Amina", "Elsewhere")
    assert (
        signed_in(sam).post("/account", {"form": "profile", "name": "Sam", "location": "Elsewhere"}).status_code == 302
    )


def test_a_password_stays_where_another_field_is_refused(application):
    answer = Client().post("/signup", application | {"name": " "})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert f'value="{PASSWORD}"' in page
    assert "no-store" in answer["Cache-Control"]


def test_signing_out_says_so(signed_in, member):
    client = signed_in(member())
    answer = client.post("/logout", follow=True)
    assert "You are signed out" in answer.content.decode()


def test_the_admin_tells_a_member_that_it_is_for_staff(signed_in, member):
    answer = signed_in(member()).get("/admin/", follow=True)
    page = answer.content.decode()
    assert "for staff" in page
    assert 'href="/requests"' in page
