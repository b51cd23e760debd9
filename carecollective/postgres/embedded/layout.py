"""The files under DATA_DIR."""

import hashlib
import os
import tempfile
from pathlib import Path

# A Unix socket's address holds 107 bytes on Linux and 103 elsewhere.
LONGEST_SOCKET_PATH = 100
SOCKET_NAME = "/.s.PGSQL.5432"
# Not TMPDIR: every process must use the same folder, whatever its environment says.
TEMPORARY_FOLDER = Path("/tmp")  # noqa: S108 (the folder made in there is checked to be ours)
# libpq and postgresql.conf give these characters a meaning of their own.
SEPARATORS = frozenset(",\"'\\\n\r")


class DataDirectory:
    """The folder of the embedded server, which writes nowhere else."""

    def __init__(self, path: Path) -> None:
        # By its real path, so that every process means the same folder.
        self.root = Path(os.path.realpath(path))
        self.cluster = self.root / "postgres"
        self.log = self.root / "postgres.log"
        self.credentials = self.root / "credentials.json"
        self.secret_key = self.root / "secret_key"
        # The last supervisor's reason for giving up.
        self.failure = self.root / "supervisor.failure"
        # The fingerprint of the roles as they were last created.
        self.prepared = self.root / "roles.sha256"
        # Held shared by everybody who uses the server, and exclusively while it is being stopped.
        self.users_lock = self.root / "users.lock"
        # Held while a process makes sure that the server runs.
        self.start_lock = self.root / "start.lock"
        # Held by the running supervisor. Its name stays: a supervisor of an older release may hold it.
        self.supervisor_lock = self.root / "keeper.lock"
        self.sockets = _find_sockets(self.root)

    def create(self) -> None:
        """Make the folder if it is missing; an existing one keeps its permissions."""
        # When root starts the server, it runs under another account, which must pass through this folder.
        self.root.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)


def _find_sockets(root: Path) -> Path:
    """Return the folder of the server's socket: below `root`, or a temporary one if that path is too long."""
    inside = root / "socket"
    address = os.fsencode(f"{inside}{SOCKET_NAME}")
    if len(address) <= LONGEST_SOCKET_PATH and not SEPARATORS.intersection(str(inside)):
        return inside
    temporary = TEMPORARY_FOLDER if TEMPORARY_FOLDER.is_dir() else Path(tempfile.gettempdir())
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return temporary / f"carecollective-{os.getuid()}-{name}"
