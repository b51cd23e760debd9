"""What docs/operations/point-in-time.md says is done, and the database comes back as it was at that second."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from carecollective.postgres.embedded.binaries import bin_dir
from carecollective.postgres.embedded.cluster import Cluster
from carecollective.postgres.embedded.layout import DataDirectory
from tests.postgres.conftest import Use, data_dir, home, use
from tests.postgres.support import PROJECT, ask, is_running
from tests.waiting import wait_for

__all__ = ["data_dir", "home", "use"]

PAGE = (PROJECT / "docs/operations/point-in-time.md").read_text()
ARCHIVE, BASE, MOMENT = "/srv/care/wal", "/srv/care/base", "2026-11-28 12:00:00+00"


def blocks(kind: str) -> list[str]:
    """Return what the page shows as configuration (`conf`) or as commands (`sh`)."""
    return re.findall(rf"^ *```{kind}\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)


def own(folder: Path, account: tuple[int, int] | None) -> None:
    """Give a folder and all in it to the server's account, which is another one where root runs the tests."""
    for path in (folder, *folder.rglob("*")):
        if account is not None:
            os.chown(path, *account)


def query(data_dir: Path, words: str) -> object:
    return ask(data_dir, words, role="superuser", database="postgres")


def test_the_page_brings_the_database_back_as_it_was_at_that_second(home: Path, data_dir: Path, use: Use) -> None:
    archiving, recovering = blocks("conf")
    data = DataDirectory(data_dir)
    data.create()
    cluster = Cluster(data)
    cluster.create()
    archive = data.root / "wal"
    archive.mkdir()
    own(archive, cluster.account)
    with (data.cluster / "postgresql.conf").open("a") as configuration:
        configuration.write(archiving.replace(ARCHIVE, str(archive)))
    lost = use()

    query(data_dir, "CREATE TABLE letter (words text)")
    query(data_dir, "INSERT INTO letter VALUES ('from before the base backup')")
    restored = DataDirectory(home / "restored")
    restored.create()
    (command,) = blocks("sh")
    program, *arguments = shlex.split(command.replace("$ADMIN_URL", cluster.superuser_url()))
    arguments = [argument.replace(BASE, str(restored.cluster)) for argument in arguments]
    subprocess.run([str(bin_dir() / program), *arguments], check=True, capture_output=True)

    query(data_dir, "INSERT INTO letter VALUES ('from after it')")
    moment = query(data_dir, "SELECT clock_timestamp()::text")
    query(data_dir, "DROP TABLE letter")
    wal = query(data_dir, "SELECT pg_walfile_name(pg_switch_wal())")
    wait_for((archive / str(wal)).exists, seconds=60)
    lost.kill()
    wait_for(lambda: not is_running(data_dir), seconds=60)

    # The archive is as if on another machine's disk: the lost server's folder is not needed.
    shutil.copy(data.credentials, restored.credentials)
    shutil.copytree(archive, restored.root / "wal")
    with (restored.cluster / "postgresql.conf").open("a") as configuration:
        configuration.write(recovering.replace(ARCHIVE, str(restored.root / "wal")).replace(MOMENT, str(moment)))
    (restored.cluster / "recovery.signal").touch()
    for folder in (restored.cluster, restored.root / "wal"):
        own(folder, cluster.account)
    shutil.rmtree(data.cluster)
    use(restored.root)
    assert query(restored.root, "SELECT pg_is_in_recovery()") is False
    found = query(restored.root, "SELECT string_agg(words, ', ' ORDER BY words DESC) FROM letter")
    assert found == "from before the base backup, from after it"
