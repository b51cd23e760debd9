"""The commands of `deploy/` in a folder that holds what the image holds: each process started on its own."""

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from carecollective.postgres.dsn import build_url, connection_url, parse_url
from carecollective.postgres.embedded.binaries import bin_dir
from tests.deploy.files import DEPLOY, copied_paths, procfile
from tests.faults.scale import FULL
from tests.postgres.conftest import data_dir, home, use
from tests.postgres.support import PROJECT
from tests.sites import CopyFirstRun, environment_for, free_port, nothing_runs
from tests.waiting import wait_for

__all__ = ["data_dir", "home", "use"]

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The variables of the site's database: the embedded one, or in full one that create-site.sh made on a server."""
    if not FULL:
        copy_first_run: CopyFirstRun = request.getfixturevalue("copy_first_run")
        copy_first_run(tmp_path / "data")
        return {}
    request.getfixturevalue("use")()
    server = connection_url(request.getfixturevalue("data_dir"), "superuser", "postgres")
    with psycopg.connect(server, autocommit=True) as superuser:
        for role in ("web", "ops", "guard"):
            superuser.execute(f"ALTER ROLE carecollective_{role} RENAME TO the_embedded_servers_{role}".encode())
    place = parse_url(server)
    create_site(place)
    return {
        "DATABASE_URL": build_url({**place, "user": "care", "password": "theirs", "dbname": "care"}),
        "DJANGO_SECRET_KEY": "long enough and random enough for a test " * 2,
    }


def create_site(place: dict[str, str]) -> None:
    subprocess.run(
        ["bash", str(DEPLOY / "postgres" / "create-site.sh")],
        env={
            "PATH": f"{bin_dir()}{os.pathsep}{os.environ['PATH']}",
            "PGHOST": place["host"],
            "PGPORT": place.get("port", "5432"),
            "PGPASSWORD": place.get("password", ""),
            "POSTGRES_USER": place["user"],
            "CARE_PASSWORD": "theirs",
            "PGBOUNCER_PASSWORD": "the-poolers",
        },
        check=True,
        timeout=60,
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """What the image holds."""
    folder = tmp_path / "site"
    folder.mkdir()
    for name in copied_paths():
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    return folder


@pytest.fixture
def start(site: Path, tmp_path: Path, database: dict[str, str]) -> Iterator[Start]:
    """Start one line of the Procfile there."""
    running: list[subprocess.Popen[str]] = []
    environment = environment_for(
        tmp_path / "data",
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        PYTHONDONTWRITEBYTECODE="1",
        ALLOWED_HOSTS="care.example",
        PORT=str(free_port()),
        **database,
    )

    def run(process: str) -> "subprocess.Popen[str]":
        command = procfile()[process].replace("0.0.0.0", "127.0.0.1")
        # Each line ends in the process itself, as a platform's shell has it.
        running.append(
            subprocess.Popen(
                ["bash", "-c", command if "exec " in command else f"exec {command}"],
                cwd=site,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return running[-1]

    run.port = environment["PORT"]  # type: ignore[attr-defined]
    yield run
    for one in running:
        if one.poll() is None:
            one.kill()
        one.communicate()
    wait_for(lambda: nothing_runs(tmp_path / "data"), seconds=30)


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def health(port: str) -> dict[str, object]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=10) as answer:
            said: dict[str, object] = json.load(answer)
            return said
    except (OSError, urllib.error.HTTPError):
        return {}


def test_the_procfile_makes_one_site_and_writes_nothing_into_it(site: Path, start: Start) -> None:
    before = files_of(site)
    said, _nothing = start("release").communicate(timeout=120)
    # What an administrator of the server has to do would stand here, had create-site.sh not done it.
    assert said == ("Bringing the tables up to date …\n" if FULL else "Starting the database …\n")
    processes = [start(name) for name in ("web", "worker", "guard")]
    wait_for(lambda: health(start.port).get("status") == "ok", seconds=90)  # type: ignore[attr-defined]
    for process in processes:
        process.terminate()
    for process in processes:
        said, _nothing = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert files_of(site) == before
