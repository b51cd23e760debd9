"""Sessions slide while they are used, are listed without secrets, and end one by one or all."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from carecollective.accounts.authentication import LimitedBackend
from carecollective.accounts.models import MemberSession, User
from carecollective.accounts.sign_in.sessions import SessionStore, device_name, list_sessions
from carecollective.accounts.sign_in.tokens import sign_out_everywhere

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]
PASSWORD = "three green apples"
PHONE = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile Safari/537.36"
DAY = 24 * 3600


@pytest.fixture
def ada(member):
    return member(name="Ada", email="ada@example.org", set_password=PASSWORD)


def sign_in(email="ada@example.org", **more):
    browser = Client(**more)
    assert browser.post("/login", {"email": email, "password": PASSWORD}).status_code == 302
    return browser


def row_of(browser):
    return MemberSession.objects.get(session_key=browser.cookies["sessionid"].value)


def idle(browser, **ago):
    """Let the session rest for this long."""
    row = row_of(browser)
    rest = timedelta(**ago)
    MemberSession.objects.filter(pk=row.pk).update(seen_at=row.seen_at - rest, expire_date=row.expire_date - rest)


def seconds_left(browser):
    return (row_of(browser).expire_date - timezone.now()).total_seconds()


def test_a_session_says_whose_it_is_and_on_what(ada):
    row = row_of(sign_in(headers={"user-agent": PHONE}))
    assert (row.member_id, row.device) == (ada.pk, "Chrome on Android")
    assert row.created_at is not None
    assert "130" not in row.device


def test_a_members_session_ends_after_30_idle_days(ada):
    browser = sign_in()
    assert 29 * DAY < seconds_left(browser) <= 30 * DAY
    idle(browser, days=29)
    assert browser.get("/account").status_code == 200
    assert seconds_left(browser) > 29 * DAY, "it slides"
    assert browser.cookies["sessionid"]["max-age"] == 30 * DAY
    idle(browser, days=31)
    assert browser.get("/account").status_code == 302


def test_a_session_of_staff_ends_after_12_idle_hours(staff):
    staff(email="sam@example.org", set_password=PASSWORD)
    browser = sign_in("sam@example.org")
    assert seconds_left(browser) <= 12 * 3600
    idle(browser, hours=11)
    assert browser.get("/account").status_code == 200
    assert 11 * 3600 < seconds_left(browser) <= 12 * 3600
    idle(browser, hours=13)
    assert browser.get("/account").status_code == 302


def test_a_session_in_use_is_not_written_at_each_request(ada):
    browser = sign_in()
    seen = row_of(browser).seen_at
    browser.get("/account")
    assert row_of(browser).seen_at == seen
    idle(browser, minutes=16)
    browser.get("/account")
    assert row_of(browser).seen_at > seen


def test_a_visitor_gets_no_session(db):
    browser = Client()
    browser.get("/requests")
    assert "sessionid" not in browser.cookies


def test_one_session_is_ended_and_the_others_go_on(ada):
    here, elsewhere, third = sign_in(), sign_in(headers={"user-agent": PHONE}), sign_in()
    page = here.get("/account").content.decode()
    assert "Chrome on Android" in page
    assert elsewhere.cookies["sessionid"].value not in page
    (phone,) = [one for one in list_sessions(member=ada, current_key=None) if one.device]
    assert here.post(f"/account/sessions/{phone.id}")["Location"] == "/account?saved=session"
    assert elsewhere.get("/account").status_code == 302
    assert third.get("/account").status_code == 200


def test_all_others_are_ended_at_once(ada, member):
    here, elsewhere = sign_in(), sign_in()
    member(email="ben@example.org", set_password=PASSWORD)
    bens = sign_in("ben@example.org")
    assert here.post("/account/sessions/others").status_code == 302
    assert [browser.get("/account").status_code for browser in (here, elsewhere, bens)] == [200, 302, 200]


def test_nobody_ends_the_session_of_another(ada, member):
    ben = member(email="ben@example.org", set_password=PASSWORD)
    sign_in("ben@example.org")
    (bens,) = list_sessions(member=ben, current_key=None)
    for session_id in (bens.id, "x" * 16):
        assert sign_in().post(f"/account/sessions/{session_id}").status_code == 404
    assert MemberSession.objects.filter(member_id=ben.pk).exists()


def test_a_new_password_and_signing_out_everywhere_leave_no_rows(ada):
    here = sign_in()
    sign_in()
    here.post("/account/password", {"old_password": PASSWORD, "password": "seven yellow pears"})
    assert [one.is_current for one in list_sessions(member=ada, current_key=here.session.session_key)] == [True]
    assert here.get("/account").status_code == 200
    sign_out_everywhere(actor=ada)
    assert not MemberSession.objects.filter(member_id=ada.pk).exists()


def test_a_session_of_the_release_before_goes_on_and_is_listed(ada):
    browser = sign_in()
    with connection.cursor() as cursor:
        # As that release wrote it.
        cursor.execute("UPDATE django_session SET member_id = NULL, created_at = NULL, seen_at = NULL, device = ''")
    assert browser.get("/account").status_code == 200
    assert [one.is_current for one in list_sessions(member=ada, current_key=browser.session.session_key)] == [True]


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (PHONE, "Chrome on Android"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0", "Firefox on Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("curl/8", ""),
        ("<script>Zerlina", ""),
    ],
)
def test_a_device_has_a_coarse_name_of_our_words(user_agent, name):
    assert device_name(user_agent) == name


def test_a_session_and_its_member_are_read_as_the_orm_reads_them(ada):
    key, reader = row_of(sign_in()).session_key, User.objects.get(pk=ada.pk)
    store = SessionStore(key)
    for found, wanted in (
        (store._get_session_from_db(), MemberSession.objects.get(session_key=key)),
        (store.member, User.objects.get(pk=reader.pk)),
        (LimitedBackend().get_user(reader.pk), User.objects.get(pk=reader.pk)),
    ):
        # Reading each column loads those that the statement leaves out.
        columns = [column.attname for column in wanted._meta.concrete_fields]
        assert [getattr(found, name) for name in columns] == [getattr(wanted, name) for name in columns]
    MemberSession.objects.filter(session_key=key).update(expire_date=timezone.now())
    assert SessionStore(key).load() == {}
    User.objects.filter(pk=reader.pk).update(is_active=False)
    assert LimitedBackend().get_user(reader.pk) is None


def test_a_page_reads_a_session_with_its_member(ada):
    browser = sign_in()
    with CaptureQueriesContext(connection) as asked:
        assert browser.get("/account").status_code == 200
    about_members = [one["sql"] for one in asked if "member.password" in one["sql"]]
    assert len(about_members) == 1
    assert "django_session" in about_members[0]


def test_the_member_is_whom_the_session_says_whatever_its_row_says(ada, member):
    browser, other = sign_in(), member(name="Ben", email="ben@example.org")
    MemberSession.objects.update(member_id=other.pk)
    assert browser.get("/account").context["user"] == ada
    # What was read with a session counts while Django asks for its member, and no longer.
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert LimitedBackend().get_user(ada.pk) is None


@pytest.mark.parametrize("at", [0, 20, -1])
def test_a_session_with_a_false_signature_is_none(ada, at):
    browser = sign_in()
    assert browser.get("/account").status_code == 200
    row = row_of(browser)
    letters = list(row.session_data)
    letters[at] = "x" if letters[at] != "x" else "y"
    MemberSession.objects.filter(pk=row.pk).update(session_data="".join(letters))
    assert browser.get("/account").url.startswith("/login"), "though it was good a moment ago"
    MemberSession.objects.filter(pk=row.pk).update(session_data=row.session_data)
    assert browser.get("/account").status_code == 200


def test_what_one_request_makes_of_a_session_is_not_seen_by_another(ada):
    key = row_of(sign_in()).session_key
    store = SessionStore(key)
    before = dict(store.items())
    for value in store.values():
        if isinstance(value, list):
            value.append("changed, and not saved")
    assert any(isinstance(value, list) for value in before.values())
    assert dict(SessionStore(key).items()) == dict(SessionStore(key).items()) != dict(store.items())
