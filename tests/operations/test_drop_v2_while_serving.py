"""`drop_v2` beside a site that really serves: it takes nothing from V1's members, and stops the site only when asked to."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres.support import PROJECT
from tests.sites import CopyFirstRun, Seat, Site, environment_for
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
    pytest.mark.xdist_group("serve"),
]

THERE = "SELECT to_regclass('public.conversations_v2') IS NOT NULL"


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, copy_first_run: CopyFirstRun) -> Iterator[Site]:
    started = Site(copy_first_run(tmp_path_factory.mktemp("site") / "data"))
    try:
        started.wait_until_watched()
        yield started
    finally:
        started.end()


def manage(site: Site, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", *arguments],
        cwd=PROJECT,
        env=environment_for(site.data_dir),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def is_served(site: Site, seat: Seat) -> bool:
    listed = site.call("GET", "/api/messaging/conversations", token=seat.token)
    return listed.status == 200 and site.send(seat, "Are you there?").status == 201


def test_v1_goes_on_until_somebody_stops_the_site(site: Site, tmp_path: Path) -> None:
    seat, _other = site.add_conversation("v1")
    drop = ("drop_v2", "--export", str(tmp_path / "export"), "--confirm", "carecollective")

    code, said = manage(site, *drop)
    assert (code, "The site is running" in said, "Traceback" in said) == (1, True, False), said
    assert "--stop-serving" in said
    assert site.value(THERE) is True
    assert is_served(site, seat)

    code, said = manage(site, *drop, "--stop-serving")
    assert (code, "The site of this DATA_DIR is stopped." in said) == (0, True), said
    assert site.process.wait(30) == 0
    code, said = manage(site, "rollout", "status")
    assert (code, "Traceback" in said) == (0, False), said

    again = Site(site.data_dir)
    try:
        again.wait_until_watched()
        assert again.value(THERE) is True
        assert is_served(again, seat)
        again.add_conversation("v1")
    finally:
        again.end()


def test_v1_goes_on_when_psql_drops_the_tables_beneath_the_site(site: Site) -> None:
    seat, _other = site.add_conversation("v1")
    with site.connect("owner") as owner:
        owner.execute("DROP TABLE messages_v2, conversations_v2 CASCADE")
    # Each process finds out within a second, and until then refuses in a sentence.
    first = site.call("GET", "/api/messaging/conversations", token=seat.token)
    assert (first.status, first.code) in ((200, None), (503, "database_error")), first
    wait_for(lambda: is_served(site, seat), seconds=3)
    site.add_conversation("v1")
    health = site.call("GET", "/api/health")
    assert (health.status, health.body["status"]) == (200, "degraded")
    assert not health.body["checks"]["messaging_v2"]["ok"]
    told = "SELECT count(*) = 1 FROM rollout_alert WHERE kind = 'v2_tables_missing' AND resolved_at IS NULL"
    wait_for(lambda: site.value(told), seconds=15)
    code, said = manage(site, "rollout", "status")
    assert (code, "Traceback" in said, "V2's tables are missing" in said) == (0, False, True), said

    site.end()
    again = Site(site.data_dir)
    try:
        again.wait_until_watched()
        assert "made again, empty" in again.said
        assert again.is_healthy()
        assert is_served(again, seat)
    finally:
        again.end()
