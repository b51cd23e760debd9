"""PostgreSQL's client programs: finds one that suits the server, and runs it."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import IO

from carecollective.operations.errors import OperationError
from carecollective.postgres.dsn import NETWORK_LIMITS, build_url, parse_url
from carecollective.postgres.embedded.binaries import bin_dir
from carecollective.postgres.errors import PostgresError

# Reads or writes a whole pipe of a program. Raises OSError.
Pump = Callable[[IO[bytes]], None]


@dataclass(frozen=True, slots=True)
class Client:
    path: Path
    version: int
    description: str


def find_client(name: str, *, server_version: int) -> Client:
    """Return the program, at least as new as the server, from POSTGRES_BIN, else PATH, else the embedded server.

    Raises OperationError with what to install.
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
    client: Client,
    arguments: Sequence[str],
    *,
    url: str | None,
    on_line: Callable[[str], None],
    keep_open: Sequence[int] = (),
    take_output: Pump | None = None,
    give_input: Pump | None = None,
) -> None:
    """Run the program on the database of `url`, if given. Raises OperationError.

    `on_line` gets each line of its report. It inherits the descriptors `keep_open`. `take_output` reads its standard output and
    `give_input` writes its standard input, each in a thread. The password is passed in the environment, because everybody on
    the machine can read arguments.
    """
    database, environment = _reach(url)
    complaints: list[str] = []
    with subprocess.Popen(
        [str(client.path), *database, "--verbose", *arguments],
        env=environment,
        pass_fds=keep_open,
        stdin=subprocess.PIPE if give_input else subprocess.DEVNULL,
        stdout=subprocess.PIPE if take_output else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None  # noqa: S101 -- for the type checker: it was asked for
        with _pumping(process, take_output, give_input) as problems:
            for raw in process.stderr:
                line = raw.decode(errors="replace").strip().removeprefix(f"{client.path.name}: ")
                if "error:" in line or "FATAL:" in line:
                    complaints.append(line.partition("error: ")[2] or line)
                on_line(line)
    # A pump's error comes first: the program's own message is only its consequence.
    if problems or process.returncode:
        reason = next(iter([*problems, *complaints]), f"it ended with {process.returncode}.")
        raise OperationError(f"{client.path.name} failed: {reason}")


def run_script(
    client: Client, arguments: Sequence[str], *, url: str, on_line: Callable[[str], None], give_input: Pump
) -> None:
    """Let pg_restore write a script, and psql run it in one transaction, without settings that older servers lack.

    Otherwise as `run_client`. Neither the script nor the server's messages are ever on the disk. COMMIT is sent when pg_restore
    has succeeded, so nothing stays in the database if one of the programs dies.
    """
    psql = find_client("psql", server_version=1)
    database, environment = _reach(url)
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-"]
    answers: list[bytes] = []
    with (
        subprocess.Popen(
            [str(psql.path), *database, *options],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as runs,
    ):
        assert runs.stdin is not None and runs.stderr is not None  # noqa: S101, PT018 -- for the type checker
        listening = Thread(target=lambda pipe: answers.append(pipe.read()), args=[runs.stderr], daemon=True)
        listening.start()
        failure: OperationError | None = None
        try:
            with suppress(BrokenPipeError):
                runs.stdin.write(b"BEGIN;\n")
            run_client(
                client,
                ["--file=-", *arguments],
                url=None,
                on_line=on_line,
                take_output=partial(_pass_on, to=runs.stdin),
                give_input=give_input,
            )
        except OperationError as problem:
            failure = problem
            try:
                runs.wait(timeout=1)  # it may have ended first, with a reason
            except subprocess.TimeoutExpired:
                runs.kill()
        else:
            with suppress(BrokenPipeError):
                runs.stdin.write(b"COMMIT;\n")
        finally:
            with suppress(BrokenPipeError):
                runs.stdin.close()
            listening.join()
        if runs.wait() > 0:
            message = b"".join(answers).decode(errors="replace")
            raise OperationError(
                f"psql failed: {message.partition('ERROR:')[2].strip().partition(chr(10))[0] or message.strip()}"
            )
        if failure is not None:
            raise failure


def _pass_on(script: IO[bytes], *, to: IO[bytes]) -> None:
    """Copy a script without its first line that sets `transaction_timeout`; later ones may be members' data."""
    is_due = True
    for line in script:
        if is_due and line.startswith(b"SET transaction_timeout"):
            is_due = False
            continue
        to.write(line)


def _reach(url: str | None) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the arguments with the database, and the environment with its password."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
    if url is None:
        return [], environment
    parameters = {**NETWORK_LIMITS, **parse_url(url)}
    password = parameters.pop("password", "")
    return [f"--dbname={build_url(parameters)}", "--no-password"], environment | {"PGPASSWORD": password}


@contextmanager
def _pumping(
    process: "subprocess.Popen[bytes]", take_output: Pump | None, give_input: Pump | None
) -> Iterator[Sequence[str]]:
    """Serve the program's pipes until it closes them; yield their errors. If the block fails, end the program."""
    problems: list[str] = []

    def serve(pump: Pump, pipe: IO[bytes]) -> None:
        try:
            with pipe:
                pump(pipe)
        except BrokenPipeError:
            pass  # it has read enough, or has ended; its exit status tells
        except OSError as problem:
            problems.append(f"{problem.strerror or problem}.")
            process.terminate()

    pairs = ((take_output, process.stdout), (give_input, process.stdin))
    threads = [Thread(target=serve, args=pair, daemon=True) for pair in pairs if all(pair)]
    for thread in threads:
        thread.start()
    try:
        yield problems
    except BaseException:
        process.terminate()
        raise
    finally:
        for thread in threads:
            thread.join()


def _candidates(name: str) -> Iterator[Path]:
    chosen = os.environ.get("POSTGRES_BIN", "").strip()
    if chosen:
        # An explicit choice: try nothing else.
        yield Path(chosen).expanduser().absolute() / name
        return
    on_path = shutil.which(name)
    if on_path:
        yield Path(on_path)
    try:
        yield bin_dir() / name
    except PostgresError:
        return


def _ask_version(path: Path) -> Client | None:
    try:
        answer = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return Client(path, int(number[1]), answer.stdout.strip()) if number else None
