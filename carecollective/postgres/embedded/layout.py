"""What lies where under DATA_DIR."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

# A Unix socket's address holds 107 bytes on Linux and 103 elsewhere.
LONGEST_SOCKET_PATH = 100
SOCKET_NAME = "/.s.PGSQL.5432"
# Not TMPDIR at first: every process must arrive at the same folder, whatever its environment.
TEMPORARY_FOLDERS = (Path("/tmp"),)  # noqa: S108 (the folder made in there is checked to be ours)
# libpq and postgresql.conf both read these as something else than a part of one path.
SEPARATORS = frozenset(",\"'\\\n\r")


@dataclass(frozen=True)
class DataDirectory:
    """The folder that holds everything the embedded server keeps; nothing outside of it is touched."""

    root: Path

    @classmethod
    def at(cls, path: Path) -> "DataDirectory":
        """Name the folder by its real path, so that every process means the same one."""
        return cls(Path(os.path.realpath(path)))

    def create(self) -> None:
        """Make the folder where it is missing; one that exists keeps its permissions."""
        # The server of a root user runs under another account, which passes through this folder.
        self.root.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)

    @property
    def cluster(self) -> Path:
        return self.root / "postgres"

    @property
    def log(self) -> Path:
        return self.root / "postgres.log"

    @property
    def credentials(self) -> Path:
        return self.root / "credentials.json"

    @property
    def secret_key(self) -> Path:
        return self.root / "secret_key"

    @property
    def failure(self) -> Path:
        """Holds the sentence with which the last supervisor gave up."""
        return self.root / "supervisor.failure"

    @property
    def prepared(self) -> Path:
        """Holds the fingerprint of the roles as last created."""
        return self.root / "roles.sha256"

    @property
    def users_lock(self) -> Path:
        """Held shared by every process tree that uses the server, exclusively while it is being stopped."""
        return self.root / "users.lock"

    @property
    def start_lock(self) -> Path:
        """Held while somebody sees to it that the server runs."""
        return self.root / "start.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the living supervisor."""
        return self.root / "keeper.lock"

    @property
    def sockets(self) -> Path:
        """The folder of the server's socket: here, or under the temporary folder where this path is too long."""
        inside = self.root / "socket"
        address = os.fsencode(f"{inside}{SOCKET_NAME}")
        if len(address) <= LONGEST_SOCKET_PATH and not SEPARATORS.intersection(str(inside)):
            return inside
        temporary = next((folder for folder in TEMPORARY_FOLDERS if folder.is_dir()), Path(tempfile.gettempdir()))
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return temporary / f"carecollective-{os.getuid()}-{name}"
