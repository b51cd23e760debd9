"""Who left stays away: a backup from before is restored without them, by a ledger that no crash takes a line from."""

import json
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from carecollective.accounts.models import User
from carecollective.core import erasure_ledger
from carecollective.core.database import discarding_changes
from carecollective.operations.backups.dumps import make_backup
from carecollective.privacy import erasure
from tests.operations.conftest import Copy, ask, url
from tests.policies.world import WORLD

TRACES = ("Zerlina", "Quastenflosser", "zq@example.org", "zq-own-words")
THEN = datetime(2026, 11, 2, 12, tzinfo=UTC)
LIFE = """
UPDATE profiles SET name = 'Zerlina Quastenflosser', email = 'zq@example.org', location = 'zq-own-words' WHERE id = %(helper)s;
UPDATE conversations_v2 SET initial_message = 'zq-own-words first' WHERE helper_id = %(helper)s;
UPDATE messages_v2 SET content = 'zq-own-words in V2' WHERE sender_id = %(helper)s;
UPDATE messages SET content = 'zq-own-words in V1' WHERE sender_id = %(helper)s;
INSERT INTO help_requests (id, user_id, title, description, category, urgency, status)
VALUES (gen_random_uuid(), %(helper)s, 'zq-own-words asked', 'zq-own-words', 'other', 'normal', 'open');
"""


@pytest.fixture
def lived_in(copy: Copy, at: Callable[[str], None], django_db_blocker: Any) -> Iterator[str]:
    """A copy of the world in which the helper has a name and words of their own; Django works on it as the site does."""
    name = copy("lived_in")
    with psycopg.connect(url(name), autocommit=True) as superuser:
        superuser.execute("SET session_replication_role = replica")
        for statement in filter(str.strip, LIFE.split(";")):
            superuser.execute(statement.encode(), WORLD)
    connection.close()
    at(name)
    with django_db_blocker.unblock():
        yield name
        connection.close()


@pytest.fixture(autouse=True)
def backup_dir(settings: Any, tmp_path: Path) -> Path:
    settings.BACKUP_DIR = tmp_path / "backups"
    return tmp_path / "backups"


def back_up(folder: Path) -> Path:
    return make_backup(folder, say=lambda line: None)[0]


def leave() -> None:
    erasure.erase_for_member(actor=User.objects.get(pk=WORLD["administrator"]), member_id=WORLD["helper"])


def find_everywhere(database: str) -> list[str]:
    """Return every table that holds a trace of who left, in any column of any row."""
    found = []
    with psycopg.connect(url(database), autocommit=True) as superuser:
        tables = superuser.execute(
            "SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (table,) in tables:
            for word in TRACES:
                row = superuser.execute(
                    f"SELECT count(*) FROM {table} AS t WHERE t::text ILIKE %s".encode(), [f"%{word}%"]
                )
                if row.fetchone() != (0,):
                    found.append(f"{table}: {word}")
    return found


def restore(dump: Path, database: str, *options: str) -> str:
    out = StringIO()
    call_command("restore", str(dump), "--into", url(database, "owner"), *options, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_who_left_after_the_backup_is_not_in_the_restored_database(
    lived_in: str, fresh: Copy, backup_dir: Path
) -> None:
    dump = back_up(backup_dir)
    assert find_everywhere(lived_in) != []
    leave()
    name = fresh("restored")
    assert "Erased again: 1 who left after the backup was made." in restore(dump, name)
    assert find_everywhere(name) == []
    assert ask(name, "SELECT count(*) FROM profiles WHERE name = 'Former member'") == 1
    # When it was is kept, and the worker looks after it once more.
    assert ask(name, "SELECT erased_at FROM privacy_erasure") == ask(lived_in, "SELECT erased_at FROM privacy_erasure")
    assert ask(name, "SELECT count(*) FROM privacy_erasure WHERE swept_at IS NULL") == 1
    # Others' words stay.
    assert ask(name, "SELECT count(*) FROM messages_v2 WHERE content = 'A secret.'") == 1


def test_a_ledger_beside_a_dump_that_was_taken_elsewhere_counts_too(
    lived_in: str, fresh: Copy, backup_dir: Path, settings: Any
) -> None:
    dump = back_up(backup_dir)
    leave()
    settings.BACKUP_DIR = backup_dir.with_name("another host's")
    facts = json.loads(restore(dump, fresh("restored"), "--json"))
    assert (facts["ok"], facts["erased_again"]) == (True, 1)


def test_without_a_ledger_the_restore_says_who_is_back(lived_in: str, fresh: Copy, backup_dir: Path) -> None:
    name = fresh("restored")
    assert "members who were erased since it was made, if any, are back" in restore(back_up(backup_dir), name)
    assert find_everywhere(name) != []


def test_the_worker_writes_down_what_a_crash_or_a_full_disk_left_out(lived_in: str, backup_dir: Path) -> None:
    backup_dir.write_text("where no folder can be made")
    leave()
    assert find_everywhere(lived_in) == []
    backup_dir.unlink()
    assert erasure.keep_ledger() == 1
    assert list(erasure_ledger.read()) == [WORLD["helper"]]
    assert erasure.keep_ledger() == 0


def test_the_worker_erases_again_who_is_back_by_any_other_restore(lived_in: str, backup_dir: Path) -> None:
    administrator = WORLD["administrator"]
    erasure_ledger.append({WORLD["helper"]: THEN, administrator: THEN, uuid4(): THEN})
    assert erasure.keep_ledger() == 2
    # The last one too: whoever is back was replaced before they left.
    assert ask(lived_in, f"SELECT name FROM profiles WHERE id = '{administrator}'") == "Former member"
    assert find_everywhere(lived_in) == []
    assert erasure.keep_ledger() == 0


def test_a_rehearsal_that_is_taken_back_is_not_written_down(lived_in: str, backup_dir: Path) -> None:
    with discarding_changes():
        leave()
    assert not erasure_ledger.exists()


def test_that_nobody_has_left_is_known_too(lived_in: str, fresh: Copy, backup_dir: Path) -> None:
    assert erasure.keep_ledger() == 0
    assert "Erased again: 0 who left" in restore(back_up(backup_dir), fresh("restored"))


def test_it_holds_ids_and_times_only_and_nobody_else_may_read_it(lived_in: str, backup_dir: Path) -> None:
    leave()
    path = backup_dir / erasure_ledger.NAME
    member, moment = path.read_text().split()
    assert (UUID(member), datetime.fromisoformat(moment).tzinfo) == (WORLD["helper"], UTC)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(backup_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize("cut", [1, 7, 20, 40, 61])
def test_a_line_that_a_crash_cut_off_costs_no_other_line(backup_dir: Path, cut: int) -> None:
    first, second, third = uuid4(), uuid4(), uuid4()
    erasure_ledger.append({first: THEN, second: THEN})
    path = backup_dir / erasure_ledger.NAME
    path.write_bytes(path.read_bytes()[:-cut])
    erasure_ledger.append({second: THEN, third: THEN})
    assert erasure_ledger.read() == {first: THEN, second: THEN, third: THEN}
