"""What the embedded server promises to its users. Each test has a server of its own."""

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from carecollective.postgres.dsn import connection_url
from carecollective.postgres.embedded.binaries import bin_dir
from carecollective.postgres.embedded.layout import DataDirectory
from tests.postgres.conftest import Use
from tests.postgres.support import ask, is_running, kill, recorded_pid, supervisor_pid
from tests.waiting import wait_for

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has the trouble")


def test_the_data_outlive_the_last_user_and_the_server_does_not(data_dir: Path, use: Use) -> None:
    user = use()
    ask(data_dir, "CREATE TABLE kept AS SELECT 'Grüße' AS word", role="owner")
    user.end()
    wait_for(lambda: not is_running(data_dir), seconds=15)

    use()
    assert ask(data_dir, "SELECT word FROM kept", role="owner") == "Grüße"


def test_the_server_runs_until_the_last_of_several_users_is_gone(data_dir: Path, use: Use) -> None:
    first, second = use(), use()
    first.end()
    time.sleep(1)
    assert ask(data_dir, "SELECT 1") == 1
    second.end()
    wait_for(lambda: not is_running(data_dir), seconds=15)


def test_killing_every_user_stops_the_server(data_dir: Path, use: Use) -> None:
    first, second = use(), use()
    first.kill()
    second.kill()
    wait_for(lambda: not is_running(data_dir), seconds=15)


def test_two_first_starts_at_once_make_one_server(data_dir: Path, use: Use) -> None:
    users = [use(wait=False) for _ in range(4)]
    for user in users:
        user.wait_until_up()
    assert ask(data_dir, "SELECT count(*) FROM pg_database WHERE datname = 'carecollective'") == 1


def test_a_start_during_a_stop_waits_and_starts_the_server(data_dir: Path, use: Use) -> None:
    use().end()
    for _ in range(3):
        user = use()
        assert ask(data_dir, "SELECT 1") == 1
        user.kill()
        time.sleep(0.25)


@linux_only
def test_a_killed_postmaster_is_started_again(data_dir: Path, use: Use) -> None:
    use()
    before = recorded_pid(data_dir)
    # Backends keep the shared memory until they notice.
    connected = [psycopg.connect(connection_url(data_dir, "owner")) for _ in range(5)]
    kill(before)
    wait_for(lambda: _answers(data_dir), seconds=20)
    for connection in connected:
        connection.close()
    assert recorded_pid(data_dir) != before


@linux_only
def test_a_killed_supervisor_is_replaced_and_the_server_goes_on(data_dir: Path, use: Use) -> None:
    use()
    postmaster = recorded_pid(data_dir)
    kill(supervisor_pid(data_dir))
    use()
    assert recorded_pid(data_dir) == postmaster
    assert supervisor_pid(data_dir)


@linux_only
def test_supervisor_and_postmaster_killed_together_come_back(data_dir: Path, use: Use) -> None:
    user = use()
    kill(supervisor_pid(data_dir))
    kill(recorded_pid(data_dir))
    user.kill()
    use()
    assert ask(data_dir, "SELECT 1") == 1


@linux_only
def test_a_recycled_process_id_is_neither_signalled_nor_in_the_way(home: Path, data_dir: Path, use: Use) -> None:
    other = home / "other"
    user, neighbours_user = use(wait=False), use(other, wait=False)
    user.wait_until_up()
    neighbours_user.wait_until_up()
    neighbour = recorded_pid(other)
    pid_file = DataDirectory(data_dir).cluster / "postmaster.pid"
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        # Given to anything at all, and to the postmaster of another directory.
        for recycled in (stranger.pid, neighbour):
            left_behind = pid_file.read_text()
            kill(supervisor_pid(data_dir))
            kill(recorded_pid(data_dir))
            user.kill()
            pid_file.write_text(left_behind.replace(left_behind.split()[0], str(recycled), 1))
            user = use()
            assert ask(data_dir, "SELECT 1") == 1
            assert recorded_pid(data_dir) != recycled
        user.end()
        wait_for(lambda: not is_running(data_dir), seconds=15)
        assert stranger.poll() is None
        assert recorded_pid(other) == neighbour
        assert ask(other, "SELECT 1") == 1
    finally:
        stranger.kill()
        stranger.wait()


def test_an_empty_lock_file_left_by_a_power_cut_is_no_obstacle(data_dir: Path, use: Use) -> None:
    use().end()
    wait_for(lambda: not is_running(data_dir), seconds=15)
    (DataDirectory(data_dir).cluster / "postmaster.pid").touch()
    use()
    assert ask(data_dir, "SELECT 1") == 1


def test_an_interrupted_first_start_leaves_no_half_made_data(data_dir: Path, use: Use) -> None:
    (data_dir / "initdb-interrupted" / "cluster").mkdir(parents=True)
    (data_dir / "initdb-interrupted" / "cluster" / "PG_VERSION").write_text("18\n")
    use()
    assert ask(data_dir, "SELECT 1") == 1
    assert not list(data_dir.glob("initdb-*"))


@pytest.mark.parametrize(
    "name",
    ["with spaces, a comma and 'quotes'", "Nachbarschaft-Ünïcødé-帮助", "/".join(["long"] * 40)],
    ids=["separators", "not-ascii", "long"],
)
def test_any_path_will_do(home: Path, use: Use, name: str) -> None:
    folder = home / name / "data"
    user = use(folder)
    assert ask(folder, "SELECT current_user") == "carecollective_web"
    user.end()
    wait_for(lambda: not is_running(folder), seconds=15)
    assert not any(DataDirectory(folder).sockets.glob(".s.PGSQL*"))


def test_a_data_directory_that_was_moved_is_found_in_its_new_place(home: Path, use: Use) -> None:
    use(home / "before").end()
    wait_for(lambda: not is_running(home / "before"), seconds=15)
    (home / "before").rename(home / "after")
    use(home / "after")
    assert ask(home / "after", "SELECT 1") == 1


def test_a_removed_data_directory_ends_its_server(home: Path, use: Use) -> None:
    use(home / "data")
    postmaster = recorded_pid(home / "data")
    shutil.rmtree(home / "data", ignore_errors=True)
    wait_for(lambda: not _exists(postmaster), seconds=15)


@as_root
def test_root_runs_it_unprivileged_from_root_only_programs(home: Path, use: Use) -> None:
    programs = home / "site"
    wheel = bin_dir().parent.parent
    shutil.copytree(wheel, programs / wheel.name, ignore=shutil.ignore_patterns("include", "pginstall"))
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.exists():  # the wheels of some versions of PostgreSQL bring none
        shutil.copytree(libraries, programs / libraries.name)
    mode = stat.S_IMODE(home.stat().st_mode)

    use(home / "data", POSTGRES_BIN=str(programs / wheel.name / bin_dir().parent.name / "bin"))

    status = Path(f"/proc/{recorded_pid(home / 'data')}/status").read_text()
    uid = next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:"))
    capabilities = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    assert uid != "0"
    assert capabilities in (1 << 2, 1 << 1)  # CAP_DAC_READ_SEARCH, or CAP_DAC_OVERRIDE where that is all root has
    assert stat.S_IMODE(home.stat().st_mode) == mode == 0o700


def test_it_listens_on_a_private_socket_alone_and_wants_a_password(data_dir: Path, use: Use) -> None:
    use()
    sockets = DataDirectory(data_dir).sockets
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert stat.S_IMODE((data_dir / "credentials.json").stat().st_mode) == 0o600
    assert ask(data_dir, "SHOW listen_addresses") == ""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host=str(sockets), user="carecollective_web", password="guess", dbname="carecollective")


def test_nothing_that_members_write_reaches_its_log(data_dir: Path, use: Use) -> None:
    use()
    with psycopg.connect(connection_url(data_dir, "owner"), autocommit=True) as connection:
        connection.execute("CREATE TABLE letters (body text CHECK (length(body) > 99))")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("INSERT INTO letters VALUES (%s)", ["my secret"])
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute("SELECT CAST(%s::text AS integer)", ["my secret"])
        with pytest.raises(psycopg.errors.SyntaxError):
            connection.execute(b"my secret")
    assert "secret" not in (data_dir / "postgres.log").read_text()


def test_an_unusable_data_directory_is_named_in_one_sentence(home: Path, use: Use) -> None:
    (home / "file").write_text("not a folder")
    complaint = use(home / "file", wait=False).fail()
    assert str(home / "file") in complaint
    assert len(complaint.splitlines()) == 1


def test_lost_credentials_are_named_in_one_sentence(data_dir: Path, use: Use) -> None:
    use().end()
    wait_for(lambda: not is_running(data_dir), seconds=15)
    (data_dir / "credentials.json").unlink()
    complaint = use(wait=False).fail()
    assert "credentials.json" in complaint
    assert len(complaint.splitlines()) == 1


def _answers(data_dir: Path) -> bool:
    try:
        return ask(data_dir, "SELECT 1") == 1
    except psycopg.OperationalError:
        return False


def _exists(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
        return not Path("/proc").exists() or " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        # Gone before the first question, or between the two.
        return False
