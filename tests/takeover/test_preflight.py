"""`manage.py adopt_legacy --check`: it only reads, and says in a sentence what stands in the way and what to do."""

from django.conf import settings

from carecollective.core.database import fetch_all
from carecollective.takeover import preflight
from tests import databases
from tests.takeover.test_taking_over import refusal_of


def check(database):
    return databases.manage(settings.DATA_DIR, database, "adopt_legacy", "--check")


def test_it_writes_nothing(legacy, as_superuser, contents):
    server = as_superuser(legacy)
    catalog = "SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_policy), (SELECT count(*) FROM pg_proc)"
    counted, before = server.execute(catalog).fetchone(), contents(legacy)
    assert "Nothing stands in the way" in check(legacy).stdout
    assert server.execute(catalog).fetchone() == counted
    assert contents(legacy) == before


def test_a_check_that_would_write_is_refused_by_the_server(committed_db, monkeypatch):
    def find_by_writing():
        fetch_all("CREATE TABLE written (id int)")
        yield from ()

    monkeypatch.setattr(preflight, "CHECKS", (find_by_writing,))
    (finding,) = preflight.run_preflight()
    assert "could not be searched for by writing: cannot execute CREATE TABLE in a read-only" in finding.problem


def test_a_missing_table_stops_it(legacy, as_superuser):
    as_superuser(legacy).execute("DROP TABLE message_reports, messages")
    for options in (("--check",), ()):
        said = refusal_of(legacy, *options)
        assert "The table public.messages of the legacy database is missing. What to do: Restore" in said
    tables = as_superuser(legacy).execute("SELECT count(*) FROM pg_tables WHERE tablename = 'django_migrations'")
    assert tables.fetchone() == (0,)
