"""`manage.py adopt_legacy`: what it says, what it brings over, and what it leaves alone."""

import re
import subprocess

import pytest
from django.conf import settings

from carecollective.takeover.services import expire_requests_once_taken_over
from tests import databases

V1_TABLES = ("public.conversations", "public.conversation_participants", "public.messages")


def adopt(database, *options):
    return databases.manage(settings.DATA_DIR, database, "adopt_legacy", *options)


def refusal_of(database, *options):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        adopt(database, *options)
    assert refused.value.returncode == 1
    assert "Traceback" not in refused.value.stderr
    return refused.value.stderr


def numbers(printed):
    return {label.strip(): int(count) for label, count in re.findall(r"^  (.+?)\s{2,}(\d+)$", printed, re.MULTILINE)}


def column(server, statement):
    return [value for (value,) in server.execute(statement).fetchall()]


def test_it_says_what_it_did_in_a_table(adopted_template):
    assert numbers(adopted_template[1]) == {
        "Members who can sign in with their legacy password": 45,
        "Members without an e-mail address (cannot sign in)": 3,
        "Legacy sign-ins without a member (left alone)": 1,
        "Staff": 3,
        "Internal testers": 1,
        "Kept out: banned": 0,
        "Kept out: deleted": 0,
        "Kept out: suspended or restricted": 0,
        "Not approved: never confirmed the e-mail address": 1,
        "Open requests given their full time again": 15,
        "Missing names, titles and dates filled in": 0,
        "Members whom the site shows": 48,
        "Requests that the site shows": 30,
        "Legacy conversations": 16,
        "of them without a message": 7,
        "Conversations read, once for each participant": 31,
        "Messages read": 52,
        "Steps rehearsed as members and staff, and taken back": 42,
        "Differences between tables and application": 0,
        "Legacy tables whose rows changed": 0,
    }
    assert "The site works" in adopted_template[1]


def test_no_row_of_the_legacy_messaging_is_changed(adopted_template, legacy_template, contents):
    before, after = contents(legacy_template), contents(adopted_template[0])
    assert {table: before[table] for table in V1_TABLES} == {table: after[table] for table in V1_TABLES}
    assert before["auth.users"] == after["auth.users"]


def test_nothing_of_the_legacy_schema_is_altered(adopted_template, legacy_template, as_superuser):
    shape = """
    SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
    WHERE table_name IN ('conversations', 'conversation_participants', 'messages')
    UNION ALL SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '' FROM pg_constraint
    WHERE conrelid::regclass::text IN ('conversations', 'conversation_participants', 'messages')
    UNION ALL SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), '', '' FROM pg_trigger
    WHERE NOT tgisinternal AND tgrelid::regclass::text IN ('conversations', 'conversation_participants', 'messages')
    UNION ALL SELECT tablename, policyname, qual, with_check, cmd FROM pg_policies WHERE policyname !~ '^carecollective_'
    AND tablename IN ('conversations', 'conversation_participants', 'messages')
    ORDER BY 1, 2, 3
    """
    before, after = (as_superuser(name).execute(shape).fetchall() for name in (legacy_template, adopted_template[0]))
    assert len(before) > 40
    assert before == after


def test_a_second_run_changes_nothing(adopted_template, make_database, contents):
    copy = make_database("twice", template=adopted_template[0])
    before = contents(copy)
    again = numbers(adopt(copy).stdout)
    assert contents(copy) == before
    for label in (
        "Members who can sign in with their legacy password",
        "Staff",
        "Internal testers",
        "Open requests given their full time again",
        "Differences between tables and application",
    ):
        assert again[label] == 0
    assert again["Legacy conversations"] == 16


def test_staff_and_testers_join_their_groups(adopted_template, as_superuser):
    server = as_superuser(adopted_template[0])
    groups = server.execute(
        """
        SELECT g.name, p.name FROM profiles_groups m JOIN auth_group g ON g.id = m.group_id JOIN profiles p ON p.id = m.user_id
        ORDER BY 1 DESC, 2
        """
    ).fetchall()
    assert groups == [
        ("Rollout operators", "Amina Okafor"),
        ("Rollout operators", "Ben Carlisle"),
        ("Rollout operators", "Chidi Nwosu"),
        ("Internal testers", "Nia Thompson"),
    ]
    assert column(server, "SELECT name FROM profiles WHERE is_superuser") == ["Amina Okafor"]


def test_what_operators_and_members_changed_since_is_left_alone(adopted_template, make_database, as_superuser):
    copy = make_database("changed", template=adopted_template[0])
    server = as_superuser(copy)
    server.execute("DELETE FROM profiles_groups")
    server.execute("UPDATE profiles SET password = 'argon2$changed' WHERE email = 'ben@example.org'")
    server.execute("UPDATE profiles SET email = 'new@example.org' WHERE email = 'chidi@example.org'")
    server.execute("UPDATE help_requests SET expires_at = '2025-12-24' WHERE status = 'open'")
    adopt(copy)
    assert column(server, "SELECT count(*) FROM profiles_groups") == [0]
    assert column(server, "SELECT password FROM profiles WHERE email = 'ben@example.org'") == ["argon2$changed"]
    assert column(server, "SELECT count(*) FROM profiles WHERE email = 'new@example.org'") == [1]
    assert column(server, "SELECT DISTINCT expires_at::date::text FROM help_requests WHERE status = 'open'") == [
        "2025-12-24"
    ]


def test_an_address_that_two_sign_ins_share_belongs_to_the_older(adopted_template, as_superuser):
    server = as_superuser(adopted_template[0])
    assert column(server, "SELECT name FROM profiles WHERE email = 'zora@example.org'") == ["The older Zora"]
    assert column(server, "SELECT password FROM profiles WHERE name = 'The younger Zora'") == ["!"]


def test_every_address_is_kept_in_small_letters(adopted_template, as_superuser):
    server = as_superuser(adopted_template[0])
    assert column(server, "SELECT email FROM profiles WHERE name = 'Lena'") == ["long@example.org"]
    assert column(server, "SELECT count(*) FROM profiles WHERE email <> lower(email)") == [0]


def test_only_profiles_make_members_with_or_without_a_sign_in(adopted_template, as_superuser):
    server = as_superuser(adopted_template[0])
    nameless = column(server, "SELECT name FROM profiles WHERE email IS NULL ORDER BY name")
    assert nameless == ["Empty", 'Robert\'); DROP TABLE "x"; -- <i>Bobby</i> 😊', "The younger Zora"]
    assert column(server, "SELECT count(*) FROM profiles WHERE email = 'nobody@example.org'") == [0]
    assert column(server, "SELECT count(*) FROM profiles") == [48]


def test_open_requests_have_their_full_time_again_and_others_do_not(adopted_template, as_superuser):
    server = as_superuser(adopted_template[0])
    spans = "SELECT DISTINCT round(extract(epoch FROM expires_at - adopted_at) / 3600)::int FROM help_requests, adoption_takeover WHERE status = 'open'"
    assert column(server, spans) == [30 * 24]
    assert column(server, "SELECT count(*) FROM help_requests WHERE status <> 'open' AND expires_at > now()") == [0]


def test_no_request_expires_before_the_database_was_taken_over(adopted, as_superuser):
    server = as_superuser(adopted)
    server.execute("UPDATE help_requests SET expires_at = now() - interval '1 day' WHERE status = 'open'")
    server.execute("DELETE FROM adoption_takeover")
    assert expire_requests_once_taken_over() == 0
    server.execute("INSERT INTO adoption_takeover DEFAULT VALUES")
    assert expire_requests_once_taken_over() == 15


def test_a_superuser_who_is_no_member_stops_it(legacy, as_superuser):
    assert "No member has the e-mail address nobody@nowhere.example." in refusal_of(
        legacy, "--superuser", "nobody@nowhere.example"
    )
    assert column(as_superuser(legacy), "SELECT count(*) FROM profiles WHERE email IS NOT NULL") == [0]


def test_without_a_legacy_database_it_says_so(make_database, template_database):
    empty = make_database("empty")
    assert "the table auth.users is missing" in refusal_of(empty)
    migrated = make_database("migrated", template=template_database)
    assert "the table auth.users is missing" in refusal_of(migrated)


def test_the_sample_is_loaded_into_an_empty_database_only(make_database, template_database, as_superuser, contents):
    empty = make_database("sample")
    first = numbers(adopt(empty, "--sample").stdout)
    assert (first["Members who can sign in with their legacy password"], first["Legacy conversations"]) == (40, 16)
    assert column(as_superuser(empty), "SELECT name FROM profiles WHERE is_superuser") == ["Amina Okafor"]
    before = contents(empty)
    assert adopt(empty, "--sample").stdout == ""
    assert contents(empty) == before
    migrated = make_database("migrated", template=template_database)
    assert adopt(migrated, "--sample").stdout == ""
    assert column(as_superuser(migrated), "SELECT count(*) FROM profiles") == [0]
