"""One PostgreSQL cluster on disk: makes, starts and stops it."""

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil
import psycopg

from carecollective.postgres.dsn import SUPERUSER, connect, connection_url
from carecollective.postgres.embedded import credentials
from carecollective.postgres.embedded.binaries import bin_dir, server_version
from carecollective.postgres.embedded.layout import DataDirectory
from carecollective.postgres.errors import PostgresError

SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # What members write must never reach the log: no statements, no parameters, no DETAIL with a failing row.
    # The application reports errors; it knows what it may log.
    "log_statement": "none",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
    "logging_collector": "off",
}
# No process gets this id: Linux counts to 4,194,304, other systems to less.
IMPOSSIBLE_PID = 4_194_305
RETRY_SECONDS = 10
UNPRIVILEGED_ACCOUNTS = ("nobody", "postgres", "daemon", "www-data")


class Cluster:
    def __init__(self, data: DataDirectory) -> None:
        self.data = data
        self.account = _unprivileged_account(data) if os.geteuid() == 0 else None

    def create(self) -> None:
        """Make the cluster if there is none. An interrupted attempt is cleaned up by the next."""
        for leftover in self.data.root.glob("initdb-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if self.data.cluster.exists():
            return
        staging_dir = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.data.root))
        try:
            self._initialise(staging_dir)
            (staging_dir / "cluster").rename(self.data.cluster)
        finally:
            shutil.rmtree(staging_dir, ignore_errors=True)

    def _initialise(self, staging_dir: Path) -> None:
        password = staging_dir / "password"
        password.write_text(credentials.passwords(self.data.root)["superuser"])
        password.chmod(0o600)
        self._give(staging_dir, password)
        # fmt: off
        arguments = [
            "-D", str(staging_dir / "cluster"), f"--username={SUPERUSER}", f"--pwfile={password}", "--auth=scram-sha-256",
            "--encoding=UTF8", *_locale(), "--no-instructions",
        ]
        # fmt: on
        made = subprocess.run(
            self._command("initdb", *arguments),
            env=_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if made.returncode != 0:
            reason = (made.stderr.strip() or made.stdout.strip() or "no reason given").splitlines()[-1]
            raise PostgresError(f"PostgreSQL's data could not be made in {self.data.root}: {_plain(reason)}")

    def find(self) -> psutil.Process | None:
        """Return the postmaster that runs on this cluster, whoever started it."""
        pid = self._recorded_pid()
        return find_postmaster(pid, self.data.cluster) if pid is not None else None

    def start(self, *, give_up: Callable[[], bool]) -> psutil.Process | None:
        """Start the postmaster and return it when it answers; None if `give_up` says so meanwhile.

        After a crash, old backends may still hold the shared memory, so it retries for a while.
        """
        deadline = time.monotonic() + RETRY_SECONDS
        while not give_up():
            self._make_socket_directory()
            self._disown_recycled_pid()
            offset = self.data.log.stat().st_size if self.data.log.exists() else 0
            process = psutil.Popen(self._postgres_command(), env=_environment(), cwd="/", stdin=subprocess.DEVNULL)
            while is_alive(process):
                if self.answers():
                    return process
                if give_up():
                    self.stop(process)
                    return None
                time.sleep(0.03)
            if time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL did not start: {self._last_error(offset)} (see {self.data.log})")
            time.sleep(0.2)
        return None

    def stop(self, process: psutil.Process) -> None:
        """Stop the postmaster and end its connections. Committed data is kept."""
        for number, seconds in ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
            deadline = time.monotonic() + seconds
            while is_alive(process) and time.monotonic() < deadline:
                time.sleep(0.02)
            if not is_alive(process):
                break
        if self.data.sockets.parent != self.data.root:
            with contextlib.suppress(OSError):
                self.data.sockets.rmdir()

    def answers(self) -> bool:
        """Tell whether this folder's server answers on our socket."""
        if not self._is_ready():
            return False
        try:
            with connect(self.superuser_url()) as connection:
                row = connection.execute("SHOW data_directory").fetchone()
                return row is not None and _same_folder(row[0], self.data.cluster)
        except psycopg.OperationalError as problem:
            if "password authentication failed" in str(problem):
                raise PostgresError(
                    f"{self.data.credentials} does not fit the data in {self.data.cluster}: restore the former, "
                    "or remove both to start again from nothing."
                ) from None
            return False

    def superuser_url(self, database: str = "postgres") -> str:
        return connection_url(self.data.root, "superuser", database)

    def _postgres_command(self) -> list[str]:
        # Passed at each start, so that a moved folder or a changed list takes effect.
        settings = {**SETTINGS, "unix_socket_directories": str(self.data.sockets)}
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        return self._command("postgres", "-D", str(self.data.cluster), *options)

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = [str(bin_dir() / program), *arguments]
        if self.account is None:
            return command
        launcher = str(Path(__file__).with_name("unprivileged.py"))
        uid, gid = map(str, self.account)
        # -I and -S: a root process loads nothing but the standard library until it has dropped its rights.
        return [sys.executable, "-I", "-S", launcher, uid, gid, command[0], str(self.data.root), "--", *command]

    def _give(self, *paths: Path) -> None:
        if self.account is not None:
            for path in paths:
                os.chown(path, *self.account, follow_symlinks=False)

    def _is_ready(self) -> bool:
        # Reading the postmaster's lock file avoids an error in the log for each early connection.
        try:
            return (self.data.cluster / "postmaster.pid").read_text().split("\n")[7].strip() == "ready"
        except (OSError, IndexError):
            return False

    def _make_socket_directory(self) -> None:
        folder = self.data.sockets
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            self._give(folder)
        found = folder.lstat()
        owners = {os.getuid(), self.account[0]} if self.account else {os.getuid()}
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners or stat.S_IMODE(found.st_mode) & 0o077:
            raise PostgresError(f"{folder} is not a folder of ours alone: remove it and start again.")
        self._give(folder)

    def _recorded_pid(self) -> int | None:
        try:
            return int((self.data.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None

    def _disown_recycled_pid(self) -> None:
        """Replace the process id in the lock file if it now belongs to another program.

        PostgreSQL still reads the rest of the file, and refuses to start while a crashed server's backends live.
        """
        path = self.data.cluster / "postmaster.pid"
        pid = self._recorded_pid()
        if pid is None:
            # Empty, or cut off by a crash while it was written.
            path.unlink(missing_ok=True)
        elif find_postmaster(pid, self.data.cluster) is None:
            _, newline, rest = path.read_text().partition("\n")
            path.write_text(f"{IMPOSSIBLE_PID}{newline}{rest}")

    def _last_error(self, offset: int) -> str:
        with self.data.log.open("rb") as log:
            log.seek(offset)
            lines = log.read().decode(errors="replace").splitlines()
        reasons = [line for line in lines if "FATAL:" in line] or lines or ["no reason given."]
        return _plain(reasons[-1])


def is_alive(process: psutil.Process) -> bool:
    """Tell whether the process still runs. Its id may have been given to another one since."""
    if isinstance(process, psutil.Popen):
        return process.poll() is None
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def find_postmaster(pid: int, cluster: Path) -> psutil.Process | None:
    """Return the process with this id if it is a running postmaster of this folder."""
    try:
        process = psutil.Process(pid)
        arguments = process.cmdline()
        # Backends carry a title such as "postgres: checkpointer"; only the postmaster keeps its arguments.
        if not arguments or os.path.basename(arguments[0]) != "postgres" or "-D" not in arguments[:-1]:
            return None
        try:
            folder = process.cwd()
        except psutil.AccessDenied:
            # In a container, even root may not read the folder of another account's process.
            folder = arguments[arguments.index("-D") + 1]
    except (psutil.Error, ValueError):
        return None
    return process if _same_folder(folder, cluster) else None


def _plain(line: str) -> str:
    return line.partition("FATAL:")[2].strip() or line.removeprefix("initdb: ").removeprefix("error: ").strip()


def _locale() -> Sequence[str]:
    """Return options for a locale that sorts by code point: built in since PostgreSQL 17."""
    if server_version() >= 17:
        return ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
    return ("--locale-provider=libc", "--locale=C.UTF-8")


def _same_folder(one: str, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _environment() -> Mapping[str, str]:
    """Return the environment without PG* variables, which would change the server or its files."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LC_ALL": "C", "LANG": "C", "TZ": "UTC"}


def _unprivileged_account(data: DataDirectory) -> tuple[int, int]:
    if data.cluster.exists() and (owner := data.cluster.stat()).st_uid != 0:
        return owner.st_uid, owner.st_gid
    for name in UNPRIVILEGED_ACCOUNTS:
        with contextlib.suppress(KeyError):
            account = pwd.getpwnam(name)
            return account.pw_uid, account.pw_gid
    for account in pwd.getpwall():
        if account.pw_uid != 0:
            return account.pw_uid, account.pw_gid
    raise PostgresError("PostgreSQL refuses to run as root and there is no other account: run as another user.")
