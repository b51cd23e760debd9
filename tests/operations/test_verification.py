"""The command as whoever runs it sees it: a table, an exit status, JSON, and silence before the site starts."""

import json
from collections.abc import Callable
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command

from carecollective.operations.terminal import render, show_difference
from carecollective.operations.verification.structure import COLUMNS, INDEXES
from carecollective.serving.management.commands.serve import Command as Serve
from tests.operations.conftest import Command, Copy, ask, url

pytestmark = pytest.mark.slow
Verify = Callable[..., str]
Refusal = Callable[..., tuple[str, str]]


@pytest.fixture
def verify(run_as: Command) -> Verify:
    """Verify a database: `verify(name, "--cheap", role="owner")`. Raises CommandError."""

    def run(database: str, *arguments: str, role: str = "web") -> str:
        return run_as(role, database, "verify_messaging", *arguments)

    return run


@pytest.fixture
def refusal(verify: Verify) -> Refusal:
    """Verify a database that differs; return the refusal, and what was written before it."""

    def refuse(database: str, *arguments: str, role: str = "web") -> tuple[str, str]:
        with pytest.raises(CommandError) as refused:
            verify(database, *arguments, role=role)
        assert refused.value.returncode == 1
        reason, said = refused.value.args
        return reason, said

    return refuse


def test_it_shows_expected_beside_found_and_leaves_no_trace(world: str, verify: Verify) -> None:
    before = ask(world, "SELECT (SELECT count(*) FROM conversations_v2) + (SELECT count(*) FROM messages_v2)")
    said = verify(world)
    assert "All " in said.splitlines()[-1]
    for words in (*COLUMNS, *INDEXES, "on and forced", "refuses", "sender takes no part", "migrations to apply"):
        assert words in said
    assert "WRONG" not in said
    assert ask(world, "SELECT (SELECT count(*) FROM conversations_v2) + (SELECT count(*) FROM messages_v2)") == before


def test_it_ends_with_1_and_says_what_is_wrong(copy: Copy, refusal: Refusal) -> None:
    name = copy("wrong")
    with psycopg.connect(url(name), autocommit=True) as superuser:
        superuser.execute("DROP POLICY participants_read ON messages_v2")
        superuser.execute(
            "CREATE POLICY participants_read ON messages_v2 FOR SELECT TO carecollective_web USING (true)"
        )
        superuser.execute("GRANT DELETE ON messages_v2 TO carecollective_web")
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE messages_v2 SET sender_id = gen_random_uuid()")
    report = json.loads(refusal(name, "--json")[1])
    assert report["ok"] is False
    wrong = {check["name"]: check["found"] for check in report["checks"] if not check["ok"]}
    assert all(check["remedy"] for check in report["checks"] if not check["ok"])
    assert wrong == {
        "messages_v2 to carecollective_web": "DELETE, INSERT, SELECT",
        # The policy of that name is there, and lets everything through: it reads otherwise, and a trial shows it too.
        "messages_v2.participants_read": "FOR SELECT TO carecollective_web USING (true)",
        "the database, rows shown to a stranger": "3",
        # So the site would not start.
        "ways around the policies at start-up": (
            "The table messages_v2 has another policy participants_read than agreed: restore it as the migrations made it;"
            " `manage.py verify_messaging` shows how."
        ),
        "sender takes no part": "3",
    }
    # What `serve` asks for before it serves, as the owner.
    reason, said = refusal(name, "--cheap", "--verbosity", "0", role="owner")
    assert said == ""
    assert (
        "Grants, messages_v2 to carecollective_web: INSERT, SELECT expected, DELETE, INSERT, SELECT found."
        " As the owner: REVOKE DELETE ON messages_v2 FROM carecollective_web;"
    ) in reason
    said = refusal(name)[1]
    assert "WRONG  Policies, messages_v2.participants_read" in said
    assert (
        "  remedy    As the owner: DROP POLICY participants_read ON messages_v2; CREATE POLICY participants_read"
        in said
    )


def test_a_functions_whole_body_is_shown_in_json_alone(copy: Copy, verify: Verify, refusal: Refusal) -> None:
    name = copy("function")
    ask(name, "ALTER FUNCTION privacy_erase_member(uuid) SECURITY INVOKER")
    said = refusal(name)[1]
    assert "… (all of it with --json)" in said
    (check,) = [one for one in json.loads(refusal(name, "--json")[1])["checks"] if one["group"] == "Functions"]
    ask(name, check["remedy"].removeprefix("As the owner: "), "owner")
    assert "WRONG" not in verify(name)


def test_long_definitions_are_shown_from_where_they_differ() -> None:
    agreed = "a permissive to carecollective_web using () check " + " AND ".join(["(sender_id = current_member())"] * 3)
    found = agreed.removesuffix("current_member())") + "helper_id)"
    beside = "\n".join(render(("Expected", "Found"), [show_difference(agreed, found)]))
    assert "(sender_id = current_member())  " in beside
    assert beside.endswith("(sender_id = helper_id)")
    assert show_difference("", found) == ("", found)
    assert show_difference(agreed, agreed) == (agreed, agreed)


def test_the_cheap_part_says_nothing_when_all_is_well(world: str, verify: Verify) -> None:
    assert verify(world, "--cheap", "--verbosity", "0", role="owner") == ""


def test_a_site_whose_tables_are_not_as_agreed_does_not_start(as_owner: str) -> None:
    ask(as_owner, "ALTER TABLE messages_v2 DISABLE TRIGGER messages_v2_never_reworded")
    out = StringIO()
    with pytest.raises(CommandError, match=r"^The database is not as agreed:\n- Triggers, messages_v2\."):
        Serve(stdout=out).prepare()
    assert out.getvalue() == "Starting the database …\n"


def test_what_serves_nobody_does_not_keep_the_site_from_starting(as_owner: str) -> None:
    ask(as_owner, f"ALTER DATABASE {as_owner} SET search_path = elsewhere, public")
    err = StringIO()
    call_command("verify_messaging", cheap=True, verbosity=0, stderr=err)
    assert err.getvalue().startswith(
        "The site starts, but the database is not as agreed:\n- Settings, every role in this"
    )


def test_a_database_of_a_newer_release_lets_the_older_one_start(as_owner: str) -> None:
    ask(as_owner, "INSERT INTO django_migrations (app, name, applied) VALUES ('inbox', '9999_of_tomorrow', now())")
    ask(as_owner, "CREATE TABLE inbox_tomorrow (id bigint); GRANT SELECT ON inbox_tomorrow TO carecollective_web")
    err = StringIO()
    call_command("verify_messaging", cheap=True, verbosity=0, stderr=err)
    assert err.getvalue().startswith("The database was migrated by a newer release (inbox.9999_of_tomorrow).")


def test_a_gap_in_the_record_of_changes_is_found(copy: Copy, verify: Verify, refusal: Refusal) -> None:
    name = copy("gap")
    with psycopg.connect(url(name), autocommit=True) as superuser:
        superuser.execute("UPDATE rollout_flag SET stage = 'internal'")
        superuser.execute("UPDATE rollout_flag SET stage = 'disabled'")
        assert "record of changes" in verify(name)
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("DELETE FROM rollout_change WHERE id = (SELECT min(id) FROM rollout_change)")
    wrong = [check for check in json.loads(refusal(name, "--json")[1])["checks"] if not check["ok"]]
    assert [check["name"] for check in wrong] == ["record of changes"]
    assert "does not follow from what stands before it" in wrong[0]["found"]
