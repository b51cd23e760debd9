"""Who was shut out of the legacy system stays out, wherever it said so, with the reason for staff to read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import Client

from carecollective.accounts.models import User
from carecollective.postgres.dsn import connection_url, database_settings
from carecollective.takeover.kept_out import KeptOut, keep_out
from carecollective.takeover.services import take_over
from tests.takeover.test_members_afterwards import sign_in, the

# What a legacy database may hold, who stays out by it, and what staff read.
MARKS = {
    "banned until a date": (
        "ALTER TABLE auth.users ADD banned_until timestamptz;"
        "UPDATE auth.users SET banned_until = '2999-01-01' WHERE email = 'otto@example.org';"
        "UPDATE auth.users SET banned_until = '2020-01-01' WHERE email = 'priya@example.org'",
        KeptOut(banned=1),
        "banned until 2999-01-01",
    ),
    "banned for good": (
        "ALTER TABLE auth.users ADD banned_until timestamptz;"
        "UPDATE auth.users SET banned_until = 'infinity' WHERE email = 'otto@example.org'",
        KeptOut(banned=1),
        "banned until infinity",
    ),
    "deleted sign-in": (
        "ALTER TABLE auth.users ADD deleted_at timestamptz;"
        "UPDATE auth.users SET deleted_at = '2025-09-01' WHERE email = 'otto@example.org'",
        KeptOut(deleted=1),
        "deleted on 2025-09-01",
    ),
    "flag and reason of a profile": (
        "ALTER TABLE profiles ADD is_banned boolean, ADD ban_reason text;"
        "UPDATE profiles SET is_banned = name LIKE 'Otto%', ban_reason = 'was rude' WHERE name ~ '^(Otto|Priya)'",
        KeptOut(banned=1),
        "banned: was rude",
    ),
    "flag as a number with an end": (
        "ALTER TABLE profiles ADD suspended int, ADD suspended_until timestamptz;"
        "UPDATE profiles SET suspended = 1, suspended_until = now() - interval '1 day' WHERE name LIKE 'Priya%';"
        "UPDATE profiles SET suspended = 1 WHERE name LIKE 'Otto%'",
        KeptOut(restricted=1),
        "suspended",
    ),
    "status of a profile": (
        "CREATE TYPE account_state AS ENUM ('active', 'Suspended');"
        "ALTER TABLE profiles ADD account_status account_state DEFAULT 'active';"
        "UPDATE profiles SET account_status = 'Suspended' WHERE name LIKE 'Otto%'",
        KeptOut(restricted=1),
        "Suspended",
    ),
    "the membership itself": (
        "ALTER TABLE profiles ALTER verification_status DROP DEFAULT;"
        "ALTER TABLE profiles ALTER verification_status TYPE varchar(20) USING verification_status::text;"
        "UPDATE profiles SET verification_status = 'suspended' WHERE name LIKE 'Otto%'",
        KeptOut(restricted=1),
        "suspended",
    ),
    "table of restrictions": (
        "CREATE TABLE user_restrictions (user_id uuid, restriction text, reason text, ends_at timestamptz, lifted_at date);"
        "INSERT INTO user_restrictions SELECT id, 'suspended', 'spam', NULL FROM profiles WHERE name LIKE 'Otto%';"
        "INSERT INTO user_restrictions SELECT id, 'suspended', '', now() - interval '1 day' FROM profiles"
        " WHERE name LIKE 'Priya%';"
        "INSERT INTO user_restrictions SELECT id, 'none' FROM profiles WHERE name LIKE 'Quentin%';"
        "INSERT INTO user_restrictions SELECT id, 'banned', 'x', NULL, now() FROM profiles WHERE name LIKE 'Rosa%'",
        KeptOut(restricted=1),
        "suspended: spam",
    ),
    "table of bans by text": (
        "CREATE TABLE bans (member_id text, is_active boolean DEFAULT true, expires_at date);"
        "INSERT INTO bans SELECT id::text, true, '2999-01-01' FROM profiles WHERE name LIKE 'Otto%';"
        "INSERT INTO bans SELECT id::text, false FROM profiles WHERE name LIKE 'Priya%'",
        KeptOut(restricted=1),
        "restricted until 2999-01-01",
    ),
}


@pytest.fixture
def as_owner(adopted: str, as_superuser: Callable[[str], Any]) -> Callable[[], Any]:
    """Let Django act as the owner of a database taken over, in which nobody is kept out yet."""
    as_superuser(adopted).execute(
        "UPDATE profiles SET kept_out_reason = NULL, verification_status = 'approved', email = NULL;"
        "UPDATE auth.users SET email_confirmed_at = now()"
    )
    owner = database_settings(connection_url(settings.DATA_DIR, "owner", adopted))

    @contextmanager
    def act() -> Iterator[Any]:
        before = dict(connection.settings_dict)
        connection.close()
        options = {name: value for name, value in before["OPTIONS"].items() if name != "options"}
        connection.settings_dict.update(USER=owner["USER"], PASSWORD=owner["PASSWORD"], OPTIONS=options)
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()
            connection.settings_dict.update(before)

    return act


def test_who_was_shut_out_stays_out(as_owner):
    found = {}
    with as_owner() as cursor:
        for name, (marks, _kept_out, _reason) in MARKS.items():
            with transaction.atomic():
                cursor.execute(marks)
                counted = keep_out(again=False)
                found[name] = (counted, the("Otto").kept_out_reason)
                assert list(User.objects.filter(is_active=False)) == [the("Otto")], name
                transaction.set_rollback(True)
    assert found == {name: (kept_out, reason) for name, (_marks, kept_out, reason) in MARKS.items()}


def test_who_is_kept_out_cannot_sign_in_until_staff_let_them_in(as_owner):
    with as_owner() as cursor:
        cursor.execute(MARKS["table of restrictions"][0])
        assert take_over().kept_out == KeptOut(restricted=1)
    assert sign_in("otto@example.org", "legacy-otto") is None
    assert sign_in("priya@example.org", "legacy-priya") == the("Priya")
    client = Client()
    client.force_login(the("Amina"), backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(f"/admin/accounts/user/{the('Otto').pk}/change/").content.decode()
    assert "Kept out at the takeover because" in page
    assert "suspended: spam" in page
    User.objects.filter(pk=the("Otto").pk).update(is_active=True)
    with as_owner():
        assert take_over().kept_out == KeptOut()
    assert sign_in("otto@example.org", "legacy-otto") == the("Otto")


def test_an_unconfirmed_address_waits_for_approval_without_rights(as_owner):
    with as_owner() as cursor:
        cursor.execute(
            "ALTER TABLE auth.users ADD deleted_at timestamptz;"
            "UPDATE auth.users SET email_confirmed_at = NULL WHERE email ~ '^(otto|ben)@';"
            "UPDATE auth.users SET deleted_at = '2025-02-01' WHERE email = 'zora@example.org'"
        )
        assert take_over().kept_out == KeptOut(unconfirmed=2, deleted=1)
    assert (the("Otto").is_active, the("Otto").verification_status) == (True, "pending")
    assert (the("Ben").is_active, the("Ben").verification_status) == (False, "pending")
    assert the("Ben").kept_out_reason == "never confirmed the e-mail address"
    # An address that two sign-ins share belongs to the one that was not deleted.
    assert sign_in("zora@example.org", "legacy-zora") == the("The younger Zora")
