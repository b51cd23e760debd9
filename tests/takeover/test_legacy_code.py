"""What of the legacy system runs when members write is kept at the takeover: a change of it is reported, until it is accepted."""

import json
from contextlib import suppress
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from tests import databases

CHANGES = {
    "functions, bump_conversation()": (
        "CREATE OR REPLACE FUNCTION bump_conversation() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO announcements SELECT NEW.content; RETURN NEW; END $$"
    ),
    "functions, auth.uid()": (
        "CREATE OR REPLACE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT NULL::uuid $$"
    ),
    "functions, default_expiry()": "DROP FUNCTION default_expiry() CASCADE",
    "triggers, help_requests.default_expiry": "ALTER TABLE help_requests DISABLE TRIGGER default_expiry",
    "triggers, profiles.spy": (
        "CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER spy BEFORE INSERT ON profiles FOR EACH ROW EXECUTE FUNCTION spy()"
    ),
    "triggers, auth.users.spy": (
        "CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER spy BEFORE UPDATE ON auth.users FOR EACH ROW EXECUTE FUNCTION spy()"
    ),
    "policies, messages.send_own": "DROP POLICY send_own ON messages",
}
LEFT_ALONE = {
    "a function that nothing calls yet": "CREATE FUNCTION idle() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "a policy for the legacy system's own role": (
        "CREATE ROLE legacy_anon_of_test; CREATE POLICY theirs ON messages TO legacy_anon_of_test USING (true)"
    ),
    "another column": "ALTER TABLE messages ADD reaction text",
}


def verify(database):
    """Run the cheap checks here, as the web role: `database` is the one that Django's connection is on."""
    assert connection.settings_dict["NAME"] == database
    said = StringIO()
    with suppress(CommandError):
        call_command("verify_messaging", "--json", "--cheap", stdout=said, stderr=StringIO())
    return [check for check in json.loads(said.getvalue())["checks"] if check["group"] == "Legacy system"]


def test_right_after_the_takeover_nothing_has_changed(adopted):
    (check,) = verify(adopted)
    assert (check["ok"], check["found"]) == (True, "as at the takeover")


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_reported_with_both_ways_out(adopted, as_superuser, name):
    as_superuser(adopted).execute(CHANGES[name])
    wrong = [check for check in verify(adopted) if not check["ok"]]
    assert name in [check["name"] for check in wrong]
    for check in wrong:
        assert "ask who changed it" in check["remedy"].lower()
        assert "adopt_legacy --accept-changes" in check["remedy"]
        assert not check["stops_start"]


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_does_not_run_on_our_writes_is_let_be(adopted, as_superuser, name):
    superuser = as_superuser(adopted)
    superuser.execute(LEFT_ALONE[name])
    try:
        assert all(check["ok"] for check in verify(adopted))
    finally:
        superuser.execute("DROP POLICY IF EXISTS theirs ON messages; DROP ROLE IF EXISTS legacy_anon_of_test")


def test_the_remedy_brings_back_what_it_was(adopted, as_superuser):
    as_superuser(adopted).execute(CHANGES["functions, bump_conversation()"])
    (check,) = verify(adopted)
    statement = check["remedy"].removeprefix("As the owner: ").partition(" It runs when members write.")[0]
    as_superuser(adopted).execute(statement)
    (check,) = verify(adopted)
    assert check["ok"]


def test_an_accepted_change_is_what_counts_from_then_on(adopted, as_superuser):
    as_superuser(adopted).execute(CHANGES["functions, bump_conversation()"])
    said = databases.manage(settings.DATA_DIR, adopted, "adopt_legacy", "--accept-changes").stdout
    assert said == "Accepted: Functions, bump_conversation()\n"
    (check,) = verify(adopted)
    assert check["ok"]
    assert databases.manage(settings.DATA_DIR, adopted, "adopt_legacy", "--accept-changes").stdout.startswith("Nothing")


def test_migrate_keeps_a_takeover_by_an_earlier_release(adopted, as_superuser):
    superuser = as_superuser(adopted)
    superuser.execute("UPDATE adoption_takeover SET what_runs = NULL")
    assert verify(adopted) == []
    databases.manage(settings.DATA_DIR, adopted, "migrate", "--verbosity", "0")
    superuser.execute(CHANGES["functions, bump_conversation()"])
    (check,) = verify(adopted)
    assert not check["ok"]
