"""`make run` brings a guard of its own, and another when that one ends."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from carecollective.postgres import advisory_locks
from carecollective.postgres.dsn import ROLE_NAMES
from tests.postgres.support import ask, kill
from tests.sites import CopyFirstRun, Site, nothing_runs, processes_of
from tests.waiting import wait_for

WATCHED = "SELECT holder FROM rollout_guard_lease WHERE renewed_at > clock_timestamp() - interval '12 s'"


@pytest.fixture
def started(copy_first_run: CopyFirstRun) -> Iterator[tuple[Site, Path]]:
    with tempfile.TemporaryDirectory(prefix="care-") as folder:
        data_dir = copy_first_run(Path(folder) / "data")
        site = Site(data_dir)
        try:
            site.wait_until_up()
            yield site, data_dir
            assert site.end() == 0, site.said
        finally:
            site.abandon()
            wait_for(lambda: nothing_runs(data_dir), seconds=30)


def guard_of(data_dir: Path) -> int | None:
    return next((pid for pid, arguments in processes_of(data_dir) if arguments[-1:] == ["guard"]), None)


@pytest.mark.slow
@pytest.mark.xdist_group("serve")
def test_the_site_has_a_guard_and_starts_another_when_it_dies(started: tuple[Site, Path]) -> None:
    _site, data_dir = started
    wait_for(lambda: guard_of(data_dir) is not None, seconds=15)
    first = guard_of(data_dir)
    wait_for(lambda: str(ask(data_dir, WATCHED)).endswith(f":{first}"), seconds=20)
    session = f"SELECT usename::text FROM pg_stat_activity a JOIN pg_locks l USING (pid) WHERE l.objid = {advisory_locks.GUARD}"
    assert ask(data_dir, session, role="superuser") == ROLE_NAMES["guard"]
    kill(first)
    wait_for(lambda: guard_of(data_dir) not in (None, first), seconds=15)
    wait_for(lambda: str(ask(data_dir, WATCHED)).endswith(f":{guard_of(data_dir)}"), seconds=20)
