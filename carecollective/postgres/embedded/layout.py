"""The files under DATA_DIR."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

# A Unix socket's address holds 107 bytes on Linux and 103 elsewhere.
LONGEST_SOCKET_PATH = 100
SOCKET_NAME = "/.s.PGSQL.5432"
# Not TMPDIR: every process must use the same folder, whatever its environment says.
TEMPORARY_FOLDERS = (Path("/tmp"),)  # noqa: S108 (the folder made in there is checked to be ours)
# libpq and postgresql.conf give these characters a meaning of their own.
SEPARATORS = frozenset(",\"'\\\n\r")


@dataclass(frozen=True)
class DataDirectory:
    """The folder of the embedded server, which writes nowhere else."""

    root: Path

    @classmethod
    def at(cls, path: Path) -> "DataDirectory":
        """Name the folder by its real path, so that every process means the same folder."""
        return cls(Path(os.path.realpath(path)))

    def create(self) -> None:
        """Make the folder if it is missing; an existing one keeps its permissions."""
        # When root starts the server, it runs under another account, which must pass through this folder.
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
        """The last supervisor's reason for giving up."""
        return self.root / "supervisor.failure"

    @property
    def prepared(self) -> Path:
        """The fingerprint of the roles as they were last created."""
        return self.root / "roles.sha256"

    @property
    def users_lock(self) -> Path:
        """Held shared by everybody who uses the server, and exclusively while it is being stopped."""
        return self.root / "users.lock"

    @property
    def start_lock(self) -> Path:
        """Held while a process makes sure that the server runs."""
        return self.root / "start.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the running supervisor. Its name stays: a supervisor of an older release may hold it."""
        return self.root / "keeper.lock"

    @property
    def sockets(self) -> Path:
        """The folder of the server's socket: here, or a temporary one if this path is too long."""
        inside = self.root / "socket"
        address = os.fsencode(f"{inside}{SOCKET_NAME}")
        if len(address) <= LONGEST_SOCKET_PATH and not SEPARATORS.intersection(str(inside)):
            return inside
        temporary = next((folder for folder in TEMPORARY_FOLDERS if folder.is_dir()), Path(tempfile.gettempdir()))
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return temporary / f"carecollective-{os.getuid()}-{name}"
