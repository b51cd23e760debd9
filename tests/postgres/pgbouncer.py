"""A real PgBouncer before the tests' server: the machine's own, or Debian's packages unpacked in `.data`."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from tests.postgres.support import PROJECT
from tests.sites import free_port
from tests.waiting import wait_for

UNPACKED = PROJECT / ".data" / "pgbouncer"
CONFIGURATION = """[databases]
* = host={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
max_client_conn = 200
"""


def find_program() -> Path | None:
    """Return the program, downloading it where apt can; None if apt has none."""
    installed = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if installed:
        return Path(installed)
    program = UNPACKED / "usr/sbin/pgbouncer"
    if not program.exists() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        _download()
    return program if program.exists() else None


def _download() -> None:
    """Unpack the package and its libraries into one folder; this needs no rights. A failure leaves nothing."""
    UNPACKED.parent.mkdir(parents=True, exist_ok=True)
    staging = UNPACKED.with_name(f"pgbouncer-{os.getpid()}")
    staging.mkdir()
    try:
        depends = _run("apt-cache", "depends", "--important", "pgbouncer", folder=staging).split()
        libraries = [name for name in depends if name.startswith("lib") and name != "libc6"]
        _run("apt-get", "download", "pgbouncer", *libraries, folder=staging)
        for package in staging.glob("*.deb"):
            _run("dpkg-deb", "--extract", str(package), str(staging), folder=staging)
        staging.rename(UNPACKED)
    except (OSError, subprocess.SubprocessError):
        shutil.rmtree(staging, ignore_errors=True)


def _run(*command: str, folder: Path) -> str:
    return subprocess.run(
        command, cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    ).stdout


def configured(*, mode: str = "transaction", pool_size: int = 4, round_robin: bool = False) -> str:
    """Return a configuration for `PgBouncer`.

    Args:
        mode: `transaction` or `session`.
        pool_size: How many sessions a role has in a database.
        round_robin: Whether the sessions take turns; else the one used last is used next.
    """
    return (
        f"{CONFIGURATION}pool_mode = {mode}\ndefault_pool_size = {pool_size}\nserver_round_robin = {int(round_robin)}\n"
    )


class PgBouncer:
    """A pooler on a port of its own before the server whose sockets are in `server`.

    Args:
        configuration: What its file says, with `{server}`, `{port}` and `{users}` where the test's own belong.
        users: The password of each role in its `auth_file`.
    """

    def __init__(self, program: Path, folder: Path, *, server: Path, users: dict[str, str], configuration: str) -> None:
        self.port = free_port()
        folder.mkdir()
        password_file, configuration_file = folder / "users.txt", folder / "pgbouncer.ini"
        password_file.write_text("".join(f'"{name}" "{password}"\n' for name, password in users.items()))
        configuration_file.write_text(configuration.format(server=server, port=self.port, users=password_file))
        account = server.stat().st_uid
        as_whom: dict[str, object] = {}
        if os.geteuid() == 0:
            # Like PostgreSQL it does not run as root; the sockets are open to the server's own account.
            os.chown(folder, account, -1)
            os.chown(password_file, account, -1)
            as_whom = {"user": account, "group": pwd.getpwuid(account).pw_gid, "extra_groups": []}
        libraries = os.pathsep.join(
            str(path.parent) for path in UNPACKED.glob("**/*.so*") if UNPACKED in program.parents
        )
        self.log = folder / "log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(program), str(configuration_file)],
                env={**os.environ, "LD_LIBRARY_PATH": libraries} if libraries else None,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **as_whom,  # type: ignore[call-overload]
            )
        wait_for(lambda: "process up" in self.said() or self.process.poll() is not None, seconds=20)
        assert self.process.poll() is None, self.said()

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)
