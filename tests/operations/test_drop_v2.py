"""Option B of going back: V2's tables dropped only when nothing is lost, and made again by `migrate`."""

import csv
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from carecollective.operations import drop_v2
from tests import databases
from tests.operations.conftest import Command, ask, url
from tests.policies.world import WORLD

HELD = "SELECT count(*) FROM conversations_v2"
THERE = "SELECT to_regclass('public.messages_v2') IS NOT NULL OR to_regclass('public.conversations_v2') IS NOT NULL"


def drop(*arguments: object) -> str:
    out = StringIO()
    call_command("drop_v2", *map(str, arguments), stdout=out)
    return out.getvalue()


def refusal(*arguments: object) -> str:
    with pytest.raises(CommandError) as refused:
        drop(*arguments)
    return str(refused.value)


def test_it_refuses_while_conversations_would_be_lost(as_owner: str, tmp_path: Path) -> None:
    assert "3 conversations and 3 messages would be lost" in refusal()
    assert "would be lost" in refusal("--confirm", as_owner)
    assert f"--confirm {as_owner}" in refusal("--export", tmp_path / "export")
    assert "type the database's name" in refusal("--export", tmp_path / "export", "--confirm", "carecollective")
    assert ask(as_owner, HELD) == 3
    assert not (tmp_path / "export").exists()


def test_it_refuses_while_the_new_messaging_is_on(as_owner: str, tmp_path: Path) -> None:
    ask(as_owner, "UPDATE rollout_flag SET stage = 'percentage:10'")
    said = refusal("--export", tmp_path / "export", "--confirm", as_owner)
    assert said.startswith("V2 is at the stage percentage:10: roll back first")
    assert ask(as_owner, HELD) == 3


def test_it_refuses_where_another_table_would_be_left_half(as_owner: str, tmp_path: Path) -> None:
    ask(as_owner, "CREATE TABLE notes (about uuid CONSTRAINT notes_about REFERENCES messages_v2)")
    assert "notes refers to V2 (notes_about)" in refusal("--export", tmp_path / "e", "--confirm", as_owner)
    assert ask(as_owner, HELD) == 3


def test_it_writes_over_nobodys_export(as_owner: str, tmp_path: Path) -> None:
    (tmp_path / "messages_v2.csv").write_text("an earlier export")
    assert "is there already: name a new folder" in refusal("--export", tmp_path, "--confirm", as_owner)
    assert (tmp_path / "messages_v2.csv").read_text() == "an earlier export"
    assert [path.name for path in tmp_path.iterdir()] == ["messages_v2.csv"], "the half of an export stays nowhere"
    assert ask(as_owner, HELD) == 3


def test_dropped_data_is_exported_and_migrate_remakes_the_tables(
    as_owner: str, tmp_path: Path, run_as: Command
) -> None:
    # What broke the tables does not come back with them.
    ask(as_owner, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''broken''; END'")
    ask(as_owner, "CREATE TRIGGER broken BEFORE INSERT ON messages_v2 FOR EACH ROW EXECUTE FUNCTION f()")
    ask(as_owner, "GRANT ALL ON messages_v2 TO carecollective_guard")
    folder = tmp_path / "export"
    texts = set(ask(as_owner, "SELECT array_agg(content) FROM messages_v2"))
    changes = ask(as_owner, "SELECT count(*) FROM rollout_change")
    said = drop("--export", folder, "--confirm", as_owner)
    assert re.search(
        r"^Table +Rows +Checksum\n[- ]+\nconversations_v2 +3 +[0-9a-f]{32}\nmessages_v2 +3 +[0-9a-f]{32}\n", said
    )
    assert "Dropped: 2 tables with 6 rows." in said
    assert ask(as_owner, THERE) is False

    with (folder / "messages_v2.csv").open(newline="", encoding="utf-8") as file:
        assert {row["content"] for row in csv.DictReader(file)} == texts
    assert json.loads((folder / "export.json").read_text())["tables"]["conversations_v2"]["rows"] == 3
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}
    assert "has been dropped already" in refusal("--export", folder, "--confirm", as_owner)

    databases.manage(settings.DATA_DIR, as_owner, "migrate", "--verbosity", "0")
    assert ask(as_owner, HELD) == 0
    assert ask(as_owner, "SELECT count(*) FROM rollout_change") == changes
    assert json.loads(run_as("web", as_owner, "verify_messaging", "--json"))["ok"]


@pytest.mark.parametrize("stage", ["disabled", "internal"])
def test_what_psql_dropped_is_made_anew_at_disabled_alone(as_owner: str, stage: str, run_as: Command) -> None:
    ask(as_owner, f"UPDATE rollout_flag SET stage = '{stage}'")
    ask(as_owner, "DROP TABLE messages_v2, conversations_v2", "owner")
    said = databases.manage(settings.DATA_DIR, as_owner, "migrate").stdout
    is_off = stage == "disabled"
    assert ("made again, empty" in said, ask(as_owner, THERE)) == (is_off, is_off)
    if is_off:
        assert json.loads(run_as("web", as_owner, "verify_messaging", "--json"))["ok"]
        return
    with pytest.raises(CommandError) as refused:
        run_as("owner", as_owner, "verify_messaging", "--cheap", "--verbosity", "0")
    (line,) = [line for line in str(refused.value.args[0]).splitlines() if "Tables, messages_v2: table of" in line]
    assert line.endswith("then `manage.py migrate` makes the tables again, empty.")


def test_empty_tables_go_without_a_word_typed(as_owner: str) -> None:
    ask(as_owner, "DELETE FROM messages_v2")
    ask(as_owner, "DELETE FROM conversations_v2")
    facts = json.loads(drop("--json"))
    assert (facts["ok"], facts["dropped"]) == (True, {"conversations_v2": 0, "messages_v2": 0})
    assert ask(as_owner, THERE) is False


def test_it_refuses_while_anybody_is_connected_as_the_site(as_owner: str, tmp_path: Path) -> None:
    for role in ("web", "guard"):
        with psycopg.connect(url(as_owner, role)):
            said = refusal("--export", tmp_path / "export", "--confirm", as_owner)
        assert said.startswith("The site is running: 1 of its database sessions")
        assert "--stop-serving" in said
    assert ask(as_owner, HELD) == 3
    assert not (tmp_path / "export").exists()


def test_it_names_the_processes_that_serve(as_owner: str) -> None:
    ask(as_owner, "INSERT INTO rollout_process (key, flag_version) VALUES ('host-a:4711:abcd', 1)")
    with psycopg.connect(url(as_owner, "web")):
        assert "(host:number): host-a:4711." in refusal()


def test_a_site_that_starts_meanwhile_keeps_the_tables(as_owner: str, tmp_path: Path, monkeypatch: Any) -> None:
    started = []

    def start(*given: Any) -> None:
        started.append(psycopg.connect(url(as_owner, "web")))

    monkeypatch.setattr(drop_v2, "_require_unreferenced", start)
    try:
        assert "The site is running" in refusal("--export", tmp_path / "export", "--confirm", as_owner)
    finally:
        started[0].close()
    assert ask(as_owner, HELD) == 3


AFTERWARDS = (
    ("rollout", "status"),
    ("rollout", "status", "--json"),
    ("rollout", "audit", "--verify"),
    ("rollout", "preview", "internal"),
    ("rollout", "explain", "helper@world.example.org"),
    ("rollout", "drain"),
    ("rollout", "stage", "internal", "--reason", "No"),
    ("rollout", "rollback", "--reason", "Back"),
    ("verify_messaging",),
    ("verify_messaging", "--cheap"),
    ("drop_v2",),
)


def test_no_command_answers_with_a_traceback_afterwards(as_owner: str, tmp_path: Path, run_as: Command) -> None:
    drop("--export", tmp_path / "export", "--confirm", as_owner)
    answers = {}
    for command in (*AFTERWARDS, ("backup", "--to", str(tmp_path / "backup"))):
        try:
            answers[command] = run_as(role_of(command), as_owner, *command)
        except CommandError as refused:
            answers[command] = str(refused.args[0])
    assert {command: said for command, said in answers.items() if "Traceback" in said or not said} == {}
    assert "V1" in answers["rollout", "status"]


def role_of(command: tuple[str, ...]) -> str:
    if command[0] == "drop_v2":
        return "owner"
    return "guard" if command[:2] == ("rollout", "rollback") else "web"


def test_the_counts_go_on_without_the_tables(as_owner: str, tmp_path: Path) -> None:
    drop("--export", tmp_path / "export", "--confirm", as_owner)
    with psycopg.connect(url(as_owner, "guard")) as guard:
        counted = guard.execute("SELECT version, active FROM rollout_count_conversations(24) ORDER BY 1").fetchall()
        assert counted == [("v1", 4), ("v2", 0)]
        assert guard.execute("SELECT * FROM rollout_broken_conversations('-infinity')").fetchall() == []


def test_staff_still_read_a_legacy_report(as_owner: str, tmp_path: Path) -> None:
    report = (
        "INSERT INTO moderation_report (id, version, conversation_id, message_id, reason, words, status, reporter_id, author_id)"
        " VALUES (%(new)s, 'v1', %(active_v1)s, %(in_active_v1)s, 'other', '', 'pending', %(requester)s, %(helper)s)"
    )
    with psycopg.connect(url(as_owner)) as superuser:
        superuser.execute(report, WORLD)
    drop("--export", tmp_path / "export", "--confirm", as_owner)
    with psycopg.connect(url(as_owner, "web")) as web:
        web.execute("SELECT set_config('app.user_id', %s, true)", [str(WORLD["staff"])])
        look = "SELECT place, content FROM moderation_show(%(report)s, moderation_note_look(%(report)s))"
        assert web.execute(look, {"report": WORLD["new"]}).fetchall() == [(0, "A legacy secret.")]
        assert web.execute(look, {"report": WORLD["report"]}).fetchall() == []
