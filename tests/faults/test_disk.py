"""The disk is full: what is there can be read, what cannot be kept is refused, and room alone makes it well again."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from carecollective.web.health import WRITE_EVERY_SECONDS
from tests.faults.scale import BACK_WITHIN
from tests.postgres.support import PROJECT
from tests.sites import Answer, CopyFirstRun, Site, environment_for
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a small disk: tmpfs"),
    pytest.mark.xdist_group("faults"),
    pytest.mark.slow,
]

MEGABYTES = 320
LOG_BYTES = 12 << 20
LONG = "So many words. " * 60
EMPTY_ROOT_CAUSES = "SET session_replication_role = replica; TRUNCATE rollout_root_cause"


@pytest.fixture(scope="module")
def small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="care-disk-") as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,mode=711", "tmpfs", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if mounted.returncode != 0:
            pytest.skip(f"THE FULL DISK WAS NOT TRIED: no small disk can be mounted here ({mounted.stderr.strip()})")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="module")
def running_site(small_disk: Path, copy_first_run: CopyFirstRun) -> Iterator[Site]:
    """One site for all of these tests: each makes room again."""
    started = Site(copy_first_run(small_disk / "data"), WEB_CONCURRENCY="2")
    try:
        started.wait_until_watched()
        yield started
    finally:
        started.end()


@pytest.fixture
def small_site(running_site: Site, small_disk: Path) -> Iterator[Site]:
    wait_for(running_site.is_healthy, seconds=30)
    running_site.put_stage("percentage:100")
    yield running_site
    (small_disk / "filler").unlink(missing_ok=True)


def make_room_in_the_log(site: Site) -> None:
    """Begin a new file of the write-ahead log: a server that needs one when the disk is full stops altogether."""
    site.rows("SELECT pg_switch_wal()")
    helper, _owner = site.add_conversation("v2")  # which makes the file
    assert site.send(helper, LONG).status == 201
    left = site.value(
        "SELECT size - mod(pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'), size)"
        " FROM (SELECT pg_size_bytes(current_setting('wal_segment_size')) AS size) AS file"
    )
    assert left > LOG_BYTES, f"{left} bytes of the log's file are left"


def fill(disk: Path) -> Path:
    """Write until nothing more fits."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                pass
    return filler


def test_with_the_disk_full_reading_works_and_writing_recovers(small_site, small_disk, figure):
    site = small_site
    helper, owner = site.add_conversation("v2")
    kept = 1
    assert site.send(helper, LONG).status == 201
    workers = set(site.workers())
    make_room_in_the_log(site)

    filler = fill(small_disk)
    answers: list[Answer] = []
    while len(answers) < 100 and [answer.status for answer in answers[-5:]].count(503) < 5:
        answers.append(site.send(helper, LONG))
    kept += sum(answer.status == 201 for answer in answers)
    figure("sends taken before the first refusal", kept - 1)
    assert {answer.status for answer in answers} <= {201, 503}
    refused = [answer for answer in answers if answer.status == 503]
    assert refused, "the disk was not full enough"
    assert all(answer.code == "database_error" and int(answer.headers["Retry-After"]) > 0 for answer in refused)

    # The check writes now and then: it may have written just before.
    found: list[Answer] = []

    def is_failing() -> bool:
        found.append(site.call("GET", "/api/health"))
        return found[-1].status == 503

    wait_for(is_failing, seconds=WRITE_EVERY_SECONDS + BACK_WITHIN)
    ready = found[-1]
    assert (ready.status, ready.body["checks"]["database"]["ok"]) == (503, False)
    assert "disk is full" in ready.body["checks"]["database"]["message"]
    assert site.call("GET", "/api/health/live").status == 200

    for seat in (helper, owner):
        path = f"/api/messaging/conversations/{seat.conversation_id}"
        read = site.call("GET", path, token=seat.token)
        assert (read.status, len(read.body["messages"])) == (200, min(kept, 50))
        assert site.call("GET", "/api/messaging/conversations", token=seat.token).status == 200
        assert site.call("GET", f"{path}/messages", token=seat.token).status == 200
    assert site.call("GET", "/requests").status == 200
    assert set(site.workers()) == workers, "no worker died of it"

    filler.unlink()
    took = wait_for(lambda: site.send(helper, LONG).status == 201, seconds=BACK_WITHIN)
    figure("sends are taken again after", took, "s")
    wait_for(site.is_healthy, seconds=BACK_WITHIN)
    stored = site.value("SELECT count(*) FROM messages_v2 WHERE conversation_id = %s", helper.conversation_id)
    assert stored == kept + 1


def rollback_by_command(site: Site, reason: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", "rollout", "rollback", "--reason", reason],
        cwd=PROJECT, env=environment_for(site.data_dir), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_with_the_disk_full_a_rollback_still_turns_v2_off(small_site, small_disk, figure):
    site = small_site
    helper, _owner = site.add_conversation("v2")
    changes = site.value("SELECT count(*) FROM rollout_change")
    site.rows(EMPTY_ROOT_CAUSES)  # so that the form needs more of the disk
    make_room_in_the_log(site)
    filler = fill(small_disk)
    done = rollback_by_command(site, "The disk is full.")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "V2 is off" in done.stdout
    assert "the record does not show it yet" in done.stdout
    assert "see whether the disk is full" in done.stdout
    assert "Traceback" not in done.stderr
    took = wait_for(lambda: site.call("GET", "/api/rollout/me", token=helper.token).body["version"] == "v1", seconds=5)
    figure("starts go to V1 after", took, "s more")

    filler.unlink()
    count = "SELECT count(*) FROM rollout_change WHERE reason = 'The disk is full.'"
    figure("recorded after", wait_for(lambda: site.value(count) == 1, seconds=BACK_WITHIN), "s")
    assert site.value("SELECT count(*) FROM rollout_change") == changes + 1
    assert site.value("SELECT stage FROM rollout_flag") == "disabled"


def test_with_no_room_at_all_a_rollback_is_refused(small_site, small_disk):
    site = small_site
    leave_no_room_for_a_rollback(site)
    make_room_in_the_log(site)
    filler = fill(small_disk)
    done = rollback_by_command(site, "There is no room.")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "CommandError: The database's disk is full, so the rollback could not be written. V2 is as it was. Try again, or set"
        " MESSAGING_V2_ROLLOUT=disabled and restart the site: that needs no database."
    ]
    assert site.value("SELECT stage FROM rollout_state") == "percentage:100"
    filler.unlink()
    done = rollback_by_command(site, "There is no room.")
    assert done.returncode == 0, done.stdout + done.stderr
    assert site.value("SELECT stage FROM rollout_state") == "disabled"


def leave_no_room_for_a_rollback(site: Site) -> None:
    """Fill the last page of the table with the smallest of rows, so that its next row needs more of the disk."""
    rows_of_pages = "SELECT count(*), (ctid::text::point)[0]::int FROM rollout_rollback GROUP BY 2 ORDER BY 2 DESC"
    filler = b"INSERT INTO rollout_rollback (actor_label, source, reason, change_id) VALUES ('', '', '', 0)"
    with site.connect() as connection:
        while site.rows(rows_of_pages)[0][1] < 2:
            for _ in range(20):
                connection.execute(filler)
        (on_last, last), (capacity, _page) = site.rows(rows_of_pages)[:2]
        for _ in range(capacity - on_last):
            connection.execute(filler)
    assert site.rows(rows_of_pages)[0] == (capacity, last)
