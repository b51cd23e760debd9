"""The door: locks, sessions and where it leads."""

from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import F
from django.test import Client

from carecollective.accounts.models import User
from carecollective.core.models import ClientRateLimitHit
from tests.access.world import PASSWORD
from tests.hostile import corpus


@pytest.fixture
def ada(db: None, member: Any, settings: Any) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return member(name="Ada", email="ada@example.org", set_password=PASSWORD)  # type: ignore[no-any-return]


def sign_in(client: Client, *, password: str = PASSWORD, address: str = "127.0.0.1", **more: Any) -> Any:
    return client.post("/login", {"email": "ada@example.org", "password": password} | more, REMOTE_ADDR=address)


DOORS = {
    "page": lambda client, password, email="ada@example.org": sign_in(client, password=password, email=email),
    "api": lambda client, password, email="ada@example.org": client.post(
        "/api/auth/token", {"email": email, "password": password}, content_type="application/json"
    ),
    "admin": lambda client, password, email="ada@example.org": client.post(
        "/admin/login/", {"username": email, "password": password}
    ),
}


@pytest.mark.parametrize("last", DOORS)
@pytest.mark.parametrize("first", DOORS)
def test_five_failures_at_any_door_lock_every_door(ada: User, first: str, last: str) -> None:
    assert (settings.AXES_FAILURE_LIMIT, settings.AXES_COOLOFF_TIME) == (5, 0.5)
    client = Client()
    failures = [DOORS[first](client, "wrong") for _ in range(5)]
    assert [answer.status_code for answer in failures[:4]].count(429) == 0
    locked = DOORS[last](client, PASSWORD)
    assert locked.status_code == 429
    assert int(locked["Retry-After"]) == 1800
    assert "sessionid" not in client.cookies


@pytest.mark.parametrize("door", DOORS)
def test_a_lock_ends_half_an_hour_after_it_began_though_one_tries_on(ada: User, door: str) -> None:
    def let_pass(minutes: float) -> None:
        AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=minutes))

    for _ in range(5):
        DOORS[door](Client(), "wrong")
    let_pass(29.5)
    assert DOORS[door](Client(), PASSWORD).status_code == 429
    let_pass(0.6)
    # And what failed before the lock is forgotten with it: four more are no fifth.
    assert [DOORS[door](Client(), "wrong").status_code for _ in range(4)].count(429) == 0
    assert DOORS[door](Client(), PASSWORD).status_code in (200, 302)


def test_a_lock_is_of_one_account_from_one_address(ada: User, member: Any) -> None:
    member(name="Bob", email="bob@example.org", set_password=PASSWORD)
    for _ in range(6):
        sign_in(Client(), password="wrong")
    assert sign_in(Client()).status_code == 429
    assert sign_in(Client(), address="127.0.0.2").status_code == 302
    assert sign_in(Client(), email="bob@example.org").status_code == 302


@pytest.mark.parametrize("door", DOORS)
def test_another_spelling_of_the_address_is_the_same_account(ada: User, door: str) -> None:
    for email in ("ADA@example.org", " ada@example.org ", "Ada@Example.Org", "ada@example.org", "aDa@example.org"):
        DOORS[door](Client(), "wrong", email)
    assert DOORS[door](Client(), PASSWORD, "adA@example.org").status_code == 429
    assert sign_in(Client()).status_code == 429
    assert AccessAttempt.objects.count() == 1


def test_behind_a_proxy_the_lock_is_per_client_address(ada: User, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1

    def guess(*hops: str, password: str = "wrong") -> int:
        headers = {"X-Forwarded-For": ", ".join(hops)} if hops else {}
        data = {"email": "ada@example.org", "password": password}
        return int(Client().post("/login", data, headers=headers).status_code)

    for turn in range(6):  # what stands before the proxy's own entry is the caller's invention
        guess(f"10.0.0.{turn}", "192.0.2.7")
    assert guess("192.0.2.7", password=PASSWORD) == 429
    assert guess("192.0.2.8", password=PASSWORD) == 302
    assert guess("192.0.2.7", "192.0.2.8", password=PASSWORD) == 302
    assert guess(password=PASSWORD) == 302


def test_only_named_proxies_are_believed(ada: User, settings: Any) -> None:
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1"), ip_network("10.0.0.0/8")]

    def guess(*hops: str, password: str = "wrong", address: str = "127.0.0.1") -> int:
        data = {"email": "ada@example.org", "password": password}
        return int(
            Client().post("/login", data, headers={"X-Forwarded-For": ", ".join(hops)}, REMOTE_ADDR=address).status_code
        )

    for turn in range(6):
        guess(f"192.0.2.{turn}", "203.0.113.7", "10.1.2.3")
    assert guess("203.0.113.7", password=PASSWORD) == 429
    assert guess("203.0.113.7", "10.9.9.9", password=PASSWORD) == 429
    assert guess("203.0.113.8", "10.1.2.3", password=PASSWORD) == 302
    # Whoever comes past the proxies is who they are, whatever they write.
    assert guess("203.0.113.7", password=PASSWORD, address="203.0.113.9") == 302
    # A proxy that calls for itself, and an entry that is no address, are the proxy's.
    for hops in ((), ("nonsense",)):
        assert guess(*hops, password=PASSWORD) == 302


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP", "X-Client-IP"])
def test_a_header_of_the_callers_own_is_not_another_address(ada: User, header: str) -> None:
    for turn in range(6):
        Client().post("/login", {"email": "ada@example.org", "password": "wrong"}, headers={header: f"10.0.0.{turn}"})
    assert sign_in(Client()).status_code == 429


@pytest.mark.parametrize("door", DOORS)
def test_failures_over_many_accounts_stop_the_address_at_every_door(ada: User, settings: Any, door: str) -> None:
    settings.FAILED_SIGN_INS_PER_10_MINUTES = 50
    answers = [DOORS[door](Client(), "wrong", f"member-{turn % 40}@example.org").status_code for turn in range(51)]
    assert 429 not in answers[:50]
    assert answers[50] == 429
    for other in DOORS.values():
        # The right password is not even looked at, and whether there is such a member is not told.
        known, unknown = other(Client(), PASSWORD), other(Client(), PASSWORD, "nobody@example.org")
        assert (known.status_code, unknown.status_code) == (429, 429)
        assert 500 < int(known["Retry-After"]) <= 600
        assert "sessionid" not in known.cookies
    assert sign_in(Client(), address="127.0.0.2").status_code == 302
    # It is the address that waits: nobody's account was locked by it.
    assert not AccessAttempt.objects.filter(failures_since_start__gte=settings.AXES_FAILURE_LIMIT).exists()


def test_successful_sign_ins_do_not_count_for_the_address(ada: User, settings: Any) -> None:
    """Twenty neighbours at the community centre's one address, one after the other."""
    settings.FAILED_SIGN_INS_PER_10_MINUTES = 3
    assert {sign_in(Client()).status_code for _turn in range(20)} == {302}
    assert sign_in(Client(), password="wrong").status_code == 400
    assert sign_in(Client()).status_code == 302
    assert ClientRateLimitHit.objects.count() == 1


def test_all_of_an_ipv6_network_is_one_client(ada: User, settings: Any) -> None:
    settings.FAILED_SIGN_INS_PER_10_MINUTES = 3
    answers = [
        sign_in(Client(), email=f"member-{turn}@example.org", address=f"2001:db8:1:2::{turn}").status_code
        for turn in range(4)
    ]
    assert answers == [400, 400, 400, 429]
    assert sign_in(Client(), address="2001:db8:1:3::1").status_code == 302


def test_no_address_is_kept_with_the_counts(ada: User) -> None:
    sign_in(Client(), password="wrong", address="203.0.113.7")
    (hit,) = ClientRateLimitHit.objects.all()
    assert "203.0.113.7" not in hit.client
    assert len(hit.client) == 32


def test_sign_ups_from_one_address_are_limited(ada: User, settings: Any) -> None:
    settings.SIGN_UPS_PER_HOUR = 3

    def join(turn: int, email: str = "", address: str = "127.0.0.1", password: str = "a long enough one") -> Any:
        form = {"name": "New", "email": email or f"new-{turn}@example.org", "password": password}
        return Client().post("/signup", form, REMOTE_ADDR=address)

    # What is refused for what was typed does not count; an address that is taken does.
    assert {join(0, password="short").status_code for _turn in range(5)} == {400}
    assert [join(1).status_code, join(2).status_code, join(3, "ada@example.org").status_code] == [302] * 3
    for email in ("ada@example.org", "new-4@example.org"):
        refused = join(4, email)
        assert refused.status_code == 429
        assert 3500 < int(refused["Retry-After"]) <= 3600
    assert join(5, address="127.0.0.2").status_code == 302


def test_a_sign_up_that_is_sent_again_is_not_counted(ada: User, settings: Any) -> None:
    settings.SIGN_UPS_PER_HOUR = 1
    form = {"id": str(uuid4()), "name": "New", "email": "new@example.org", "password": "a long enough one"}
    answers = [Client().post("/signup", form) for _click in range(3)]
    assert {(answer.status_code, answer["Location"]) for answer in answers} == {(302, answers[0]["Location"])}
    assert Client().post("/signup", form | {"id": str(uuid4()), "email": "other@example.org"}).status_code == 429


def test_a_success_forgives_what_failed_before(ada: User) -> None:
    for _ in range(3):
        for _again in range(4):
            sign_in(Client(), password="wrong")
        assert sign_in(Client()).status_code == 302


def test_a_session_from_before_the_sign_in_is_worth_nothing_after_it(ada: User) -> None:
    thief = Client()
    thief.session.save()
    fixed = thief.session
    fixed["planted"] = "yes"
    fixed.save()
    victim = Client()
    victim.cookies["sessionid"] = str(fixed.session_key)
    victim.get("/login")
    csrf = victim.cookies["csrftoken"].value
    assert sign_in(victim).status_code == 302
    assert victim.cookies["sessionid"].value != fixed.session_key
    assert victim.cookies["csrftoken"].value != csrf
    thief.cookies["sessionid"] = str(fixed.session_key)
    assert thief.get("/account").status_code == 302


def test_a_session_nobody_gave_out_is_not_taken_over(ada: User) -> None:
    client = Client()
    client.cookies["sessionid"] = "chosenbyme" * 3 + "ab"
    sign_in(client)
    assert client.cookies["sessionid"].value != "chosenbyme" * 3 + "ab"


def test_signing_out_ends_the_session_on_the_server(ada: User) -> None:
    client = Client()
    sign_in(client)
    key = client.cookies["sessionid"].value
    client.post("/logout")
    assert not Session.objects.filter(session_key=key).exists()
    client.cookies["sessionid"] = key
    assert client.get("/account").status_code == 302


def test_a_new_password_ends_every_session(ada: User) -> None:
    client = Client()
    sign_in(client)
    ada.set_password("another good password")
    ada.save()
    assert client.get("/account").status_code == 302


@pytest.mark.parametrize("wanted", corpus.NEXT)
def test_signing_in_leads_nowhere_else(ada: User, wanted: str) -> None:
    client = Client()
    for answer in (sign_in(client, next=wanted), client.get("/login", {"next": wanted})):
        assert answer.status_code == 302
        place = urlsplit(answer["Location"])
        assert (place.scheme, place.netloc) in (("", ""), ("http", "testserver"))
        assert answer["Location"].startswith("/")
        assert not answer["Location"].startswith(("//", "/\\"))
        assert "\n" not in answer["Location"]


@pytest.mark.parametrize("wanted", corpus.NEXT)
def test_the_admins_own_door_leads_nowhere_else(staff: Any, signed_in: Any, wanted: str, db: None) -> None:
    answer = signed_in(staff()).get("/admin/login/", {"next": wanted})
    assert answer.status_code == 302
    assert answer["Location"].startswith("/")
    assert not answer["Location"].startswith(("//", "/\\"))


@pytest.mark.parametrize(("wanted", "reached"), [("/messages?cursor=a", "/messages?cursor=a"), ("thread", "/requests")])
def test_only_a_path_of_this_site_is_somewhere_to_go(ada: User, wanted: str, reached: str) -> None:
    assert sign_in(Client(), next=wanted)["Location"] == reached
