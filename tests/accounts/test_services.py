from datetime import time, timedelta

import pytest
from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.contrib.auth import authenticate
from django.contrib.sessions.models import Session
from django.db import IntegrityError
from django.test import RequestFactory
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.models import AuthToken

from carecollective.accounts.models import MessagingPreferences, User
from carecollective.accounts.preferences.services import update_preferences
from carecollective.accounts.services import (
    NotApproved,
    approve_member,
    issue_token,
    prune_sessions_and_tokens,
    reject_member,
    require_approved,
    sign_up,
    update_profile,
)
from carecollective.core import errors
from tests.messaging.refusals import nothing_written, refused
from tests.roles import as_role

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


def join(**given):
    return sign_up(**({"name": "Ada", "email": "ada@example.org", "password": PASSWORD} | given))


def token_for(email, password, address="127.0.0.1"):
    return issue_token(request=RequestFactory().post("/", REMOTE_ADDR=address), email=email, password=password)


def test_who_joins_waits_for_approval():
    made = join(name="  Ada   Lovelace ", email=" Ada@Example.ORG ", location=" Ozark,  MO ", reason="To help.")
    found = User.objects.get(pk=made.pk)
    assert (found.name, found.email, found.location, found.application_reason) == (
        "Ada Lovelace",
        "ada@example.org",
        "Ozark, MO",
        "To help.",
    )
    assert (found.verification_status, found.is_approved, found.is_staff, found.is_superuser) == (
        "pending",
        False,
        False,
        False,
    )
    assert found.password.startswith("argon2$")
    assert (str(found), found.get_full_name(), found.get_short_name()) == ("Ada Lovelace", "Ada Lovelace", "Ada")
    assert found.messaging_preferences.email_notifications
    with refused(NotApproved, "permission_denied", 403):
        require_approved(found)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "   "),
        ("name", "a" * 101),
        ("name", "a\0b"),
        ("name", 7),
        ("location", "a" * 101),
        ("reason", "a" * 501),
        ("email", ""),
        ("email", "ada"),
        ("email", "ada@"),
        ("email", "a\0da@example.org"),
        ("email", "\ud800@example.org"),
        ("email", "a@" + ".".join(["b" * 60] * 5) + ".org"),
        ("email", None),
        ("password", "short"),
        ("password", "password123"),
        ("password", "ada@example.org"),
        ("password", "correct horse\0battery"),
        ("password", "correct horse \ud800 battery"),
        ("password", None),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(field, value):
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        join(**{field: value})
    assert list(refusal.value.fields) == [field]


def test_everything_that_is_wrong_is_said_at_once():
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        join(name="", email="x", password="y", location="a" * 101)
    assert set(refusal.value.fields) == {"name", "email", "password", "location"}


@pytest.mark.parametrize("email", ["ada@example.org", "ADA@example.org", " Ada@Example.Org "])
def test_an_address_joins_once(email):
    join()
    assert join(email=email) is None
    assert User.objects.count() == 1


def test_a_profile_is_changed_by_its_member(member):
    ada = member()
    update_profile(actor=ada, name=" Zoë  O'Brien ", location="")
    found = User.objects.get(pk=ada.pk)
    assert (found.name, found.location) == ("Zoë O'Brien", None)
    update_profile(actor=ada, name="Zoë", location="Nixa")
    assert User.objects.get(pk=ada.pk).location == "Nixa"


@pytest.mark.parametrize(
    ("name", "location", "field"), [("", "Nixa", "name"), ("a" * 101, "", "name"), ("Ada", "a\0", "location")]
)
def test_a_profile_that_cannot_be_taken_is_refused_by_name(member, name, location, field):
    ada = member()
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        update_profile(actor=ada, name=name, location=location)
    assert list(refusal.value.fields) == [field]


def test_preferences_are_kept(member, beyond_policies):
    ada = member()
    update_preferences(actor=ada, email_notifications=False, quiet_hours_start=time(22), quiet_hours_end=time(7))
    found = MessagingPreferences.objects.get(user=ada)
    assert (found.email_notifications, found.quiet_hours_start, found.quiet_hours_end) == (False, time(22), time(7))
    assert str(found) == f"Preferences of {ada.pk}"
    with beyond_policies() as cursor:
        cursor.execute("DELETE FROM messaging_preferences")
    update_preferences(actor=ada, email_notifications=True, quiet_hours_start=None, quiet_hours_end=None)
    assert MessagingPreferences.objects.get(user=ada).email_notifications


@pytest.mark.parametrize(("start", "end"), [(time(22), None), (None, time(7))])
def test_quiet_hours_need_both_ends(member, start, end):
    ada = member()
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        update_preferences(actor=ada, email_notifications=True, quiet_hours_start=start, quiet_hours_end=end)
    assert list(refusal.value.fields) == ["quiet_hours_end"]


def test_staff_approve_and_reject(member, staff):
    boss, ada = staff(), member(verification_status="pending")
    approve_member(actor=boss, member_id=ada.pk)
    ada.refresh_from_db()
    assert (ada.is_approved, ada.approved_by, ada.approved_at is None) == (True, boss, False)
    require_approved(ada)
    reject_member(actor=boss, member_id=ada.pk, reason="Not from here.")
    ada.refresh_from_db()
    assert (ada.verification_status, ada.rejection_reason, ada.approved_by, ada.approved_at) == (
        "rejected",
        "Not from here.",
        None,
        None,
    )
    approve_member(actor=boss, member_id=ada.pk)
    ada.refresh_from_db()
    assert ada.rejection_reason is None


@pytest.mark.parametrize(
    ("status", "words"), [("pending", "is waiting for approval"), ("rejected", "was not approved")]
)
def test_who_is_not_approved_is_told_how_it_stands(member, status, words):
    ada = member(verification_status=status)
    with refused(NotApproved, "permission_denied", 403) as refusal:
        require_approved(ada)
    assert words in str(refusal.value.message)


def test_nobody_but_staff_approves_or_rejects(member):
    waiting, friend = member(verification_status="pending"), member()
    for actor in (waiting, friend):
        with refused(errors.NotPermitted, "permission_denied", 403):
            approve_member(actor=actor, member_id=waiting.pk)
        with refused(errors.NotPermitted, "permission_denied", 403):
            reject_member(actor=actor, member_id=friend.pk, reason="Envy")


def test_email_and_password_are_exchanged_for_a_token_that_runs_out(member):
    ada = member(email="ada@example.org", set_password=PASSWORD)
    issued = token_for(" Ada@Example.org ", PASSWORD)
    assert timedelta(days=29) < issued.expiry - timezone.now() <= timedelta(days=30)
    user, _token = TokenAuthentication().authenticate_credentials(issued.token.encode())
    assert user == ada
    stored = AuthToken.objects.get()
    assert issued.token not in (stored.digest, stored.token_key)


@pytest.mark.parametrize(("email", "password"), [("ada@example.org", "wrong"), ("nobody@example.org", PASSWORD)])
def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(member, email, password):
    member(email="ada@example.org", set_password=PASSWORD)
    with pytest.raises(errors.Unauthorized) as refusal:
        token_for(email, password)
    assert str(refusal.value.message) == "E-mail address and password do not match."
    assert not AuthToken.objects.exists()


def test_who_may_not_sign_in_gets_no_token(member):
    member(email="ada@example.org", set_password=PASSWORD, is_active=False)
    with pytest.raises(errors.Unauthorized):
        token_for("ada@example.org", PASSWORD)


@pytest.mark.parametrize("value", [None, "", 5, ["x"], "a\0b", "\ud800"])
@pytest.mark.parametrize("field", ["email", "password"])
def test_what_is_no_text_is_refused_by_name(member, field, value):
    given = {"email": "ada@example.org", "password": PASSWORD} | {field: value}
    member(email="ada@example.org", set_password=PASSWORD)
    with refused(errors.ValidationRefused, "validation_error", 400) as refusal:
        token_for(**given)
    assert list(refusal.value.fields) == [field]


def test_failed_sign_ins_lock_an_account_for_their_address_only(member):
    member(email="ada@example.org", set_password=PASSWORD)
    for _attempt in range(6):
        token_for("ada@example.org", PASSWORD)
    with pytest.raises(errors.RateLimitExceeded) as refusal:
        for _attempt in range(6):
            with pytest.raises(errors.Unauthorized):
                token_for("ada@example.org", "wrong")
    assert refusal.value.retry_after
    with pytest.raises(errors.RateLimitExceeded):
        token_for("ada@example.org", PASSWORD)
    assert token_for("ada@example.org", PASSWORD, address="127.0.0.9").token


def test_a_failed_sign_in_counts_although_its_row_was_deleted(member, monkeypatch):
    member(email="ada@example.org", set_password=PASSWORD)
    original, tries = AxesDatabaseHandler.user_login_failed, []

    def in_the_way_once(*args, **kwargs):
        tries.append(args)
        if len(tries) == 1:
            raise IntegrityError("duplicate key value")
        original(*args, **kwargs)

    monkeypatch.setattr(AxesDatabaseHandler, "user_login_failed", in_the_way_once)
    with pytest.raises(errors.Unauthorized):
        token_for("ada@example.org", "wrong")
    assert AccessAttempt.objects.get().failures_since_start == 1


def test_sessions_and_tokens_that_ran_out_are_pruned(member):
    past, future = timezone.now() - timedelta(hours=1), timezone.now() + timedelta(hours=1)
    ada = member()
    for number, moment in enumerate((past, future)):
        Session.objects.create(session_key=f"session-{number}", session_data="", expire_date=moment)
        AuthToken.objects.create(user=ada)
    with as_role("owner"):
        AuthToken.objects.filter(pk=AuthToken.objects.first().pk).update(expiry=past)
    assert prune_sessions_and_tokens() == 2
    assert (Session.objects.count(), AuthToken.objects.count()) == (1, 1)
    with nothing_written():
        assert prune_sessions_and_tokens() == 0


def test_members_are_made_by_the_manager_in_one_spelling():
    made = User.objects.create_user(" Ada@Example.org", PASSWORD, name="Ada")
    boss = User.objects.create_superuser("Boss@example.org", PASSWORD, name="Boss")
    assert (made.email, boss.email) == ("ada@example.org", "boss@example.org")
    assert (made.is_superuser, boss.is_superuser, boss.is_staff, boss.is_approved) == (False, True, True, True)
    assert User.objects.get_by_natural_key(" ADA@example.org ") == made
    assert authenticate(RequestFactory().post("/"), username="Ada@example.org", password=PASSWORD) == made
    with pytest.raises(User.DoesNotExist):
        User.objects.get_by_natural_key(None)


def test_sessions_of_earlier_releases_go_on(member, client):
    client.force_login(member(name="Ada"), backend="carecollective.accounts.authentication.LimitedBackend")
    assert client.get("/account").status_code == 200
