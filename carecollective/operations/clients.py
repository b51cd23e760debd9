"""PostgreSQL's own programs: which of them can serve this server, and running one with its progress told."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from carecollective import postgres
from carecollective.operations.problems import OperationError
from carecollective.postgres.urls import NETWORK_LIMITS, build_url, parse_url


@dataclass(frozen=True, slots=True)
class Client:
    path: Path
    version: int
    words: str


def find_client(name: str, *, server_version: int) -> Client:
    """Return the program, at least as new as the server: of POSTGRES_BIN, else of PATH, else of the embedded server.

    Raises OperationError naming the program and what to install.
    """
    found = [client for path in _candidates(name) if (client := _ask_version(path)) is not None]
    for client in found:
        if client.version >= server_version:
            return client
    remedy = (
        f"install PostgreSQL {server_version}'s client programs (on Debian and Ubuntu the package "
        f"postgresql-client-{server_version}), or set POSTGRES_BIN to their folder."
    )
    if found:
        raise OperationError(
            f"{name} at {found[0].path} is of version {found[0].version}, too old for this server of version "
            f"{server_version}: {remedy}"
        )
    raise OperationError(f"{name} is missing: {remedy}")


def run_client(
    client: Client, arguments: Sequence[str], *, url: str, hear: Callable[[str], None], keep_open: Sequence[int] = ()
) -> None:
    """Run the program on a database, handing each line of its report to `hear`; it keeps the files `keep_open`.

    The password goes by the environment: arguments are for everybody on the machine to read. Raises OperationError.
    """
    parameters = {**NETWORK_LIMITS, **parse_url(url)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment = {**kept, "PGPASSWORD": parameters.pop("password", ""), "LC_ALL": "C"}
    complaints: list[str] = []
    with subprocess.Popen(
        [str(client.path), f"--dbname={build_url(parameters)}", "--no-password", "--verbose", *arguments],
        env=environment,
        pass_fds=keep_open,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        assert process.stderr is not None  # noqa: S101 -- for the type checker: it was asked for
        try:
            for line in process.stderr:
                said = line.strip().removeprefix(f"{client.path.name}: ")
                if "error:" in said or "FATAL:" in said:
                    complaints.append(said.partition("error: ")[2] or said)
                hear(said)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        reason = complaints[0] if complaints else f"it ended with {process.returncode}."
        raise OperationError(f"{client.path.name} failed: {reason}")


def _candidates(name: str) -> Iterator[Path]:
    chosen = os.environ.get("POSTGRES_BIN", "").strip()
    if chosen:
        # Somebody decided: nothing else is tried behind their back.
        yield Path(chosen).expanduser().absolute() / name
        return
    on_path = shutil.which(name)
    if on_path:
        yield Path(on_path)
    try:
        yield postgres.bin_dir() / name
    except postgres.PostgresError:
        return


def _ask_version(path: Path) -> Client | None:
    try:
        answer = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return Client(path, int(number[1]), answer.stdout.strip()) if number else None
