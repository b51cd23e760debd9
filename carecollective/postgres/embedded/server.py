"""The embedded server's interface: it runs as long as any process uses it."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from carecollective.postgres import roles
from carecollective.postgres.dsn import DATABASE, ROLE_NAMES, connect
from carecollective.postgres.embedded import credentials
from carecollective.postgres.embedded.cluster import Cluster
from carecollective.postgres.embedded.layout import DataDirectory
from carecollective.postgres.errors import PostgresError
from carecollective.postgres.locks import PAUSE_SECONDS, is_current, is_locked, lock, locked, try_lock

START_SECONDS = 60.0
LARGEST_LOG = 10 * 1024 * 1024
PROJECT = Path(__file__).resolve().parents[3]

_descriptors: dict[Path, int] = {}


def ensure_running(data_dir: Path) -> None:
    """Make sure that the server runs, with roles and database, until this process and its forks have ended.

    A repeated call costs almost nothing, and replaces a supervisor that was killed.
    """
    data = DataDirectory(data_dir)
    try:
        descriptor = _descriptors.get(data.root)
        if descriptor is not None and is_current(descriptor, data.users_lock) and is_locked(data.supervisor_lock):
            return
        data.create()
        if descriptor is None or not is_current(descriptor, data.users_lock):
            _descriptors[data.root] = _join(data)
        with locked(data.start_lock, seconds=START_SECONDS):
            _bring_up(data)
    except OSError as problem:
        raise PostgresError(f"DATA_DIR {data.root} cannot be used: {problem.strerror or problem}.") from None


def release(data_dir: Path) -> None:
    """Stop using the server; wait until it has stopped, unless others use it."""
    data = DataDirectory(data_dir)
    descriptor = _descriptors.pop(data.root, None)
    if descriptor is None:
        return
    os.close(descriptor)
    grace = time.monotonic() + 2
    deadline = time.monotonic() + START_SECONDS
    while data.supervisor_lock.exists() and is_locked(data.supervisor_lock) and time.monotonic() < deadline:
        probe = try_lock(data.users_lock, shared=True)
        if probe is not None:
            os.close(probe)
            if time.monotonic() > grace:
                return
        # Long enough that the supervisor finds the lock free between two of our probes.
        time.sleep(0.15)


def lock_descriptor(data_dir: Path) -> int | None:
    """Return the descriptor of our lock on the server, for children to inherit (`pass_fds`)."""
    return _descriptors.get(DataDirectory(data_dir).root)


def prepare(cluster: Cluster) -> None:
    """Create the roles and the database, unless this version has already done so."""
    data = cluster.data
    content = Path(roles.__file__).read_bytes() + data.credentials.read_bytes()
    fingerprint = hashlib.sha256(content).hexdigest()
    with connect(cluster.superuser_url(), autocommit=True) as connection:
        exists = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is not None
        if exists and data.prepared.exists() and data.prepared.read_text().strip() == fingerprint:
            return
        passwords = credentials.passwords(data.root)
        roles.create_roles(
            connection, passwords={role: passwords[role] for role in ROLE_NAMES}, owner=ROLE_NAMES["owner"]
        )
        roles.create_database(connection, database=DATABASE, owner=ROLE_NAMES["owner"])
    # Databases for tests are copies of template1.
    for database in (DATABASE, "template1"):
        with connect(cluster.superuser_url(database)) as connection:
            roles.grant_database(connection, database=database, owner=ROLE_NAMES["owner"])
    data.prepared.write_text(fingerprint + "\n")


def _join(data: DataDirectory) -> int:
    descriptor = lock(data.users_lock, shared=True, seconds=START_SECONDS)
    if descriptor is None:
        raise PostgresError(f"The database in {data.root} has been stopping for {START_SECONDS:.0f} s: see {data.log}.")
    return descriptor


def _bring_up(data: DataDirectory) -> None:
    cluster = Cluster(data)
    deadline = time.monotonic() + START_SECONDS
    started = False
    while True:
        if not is_locked(data.supervisor_lock):
            if started and data.failure.exists():
                raise PostgresError(data.failure.read_text(encoding="utf-8").strip())
            _start_supervisor(data)
            started = True
        elif data.cluster.exists() and cluster.answers():
            break
        if time.monotonic() > deadline:
            raise PostgresError(f"PostgreSQL did not start within {START_SECONDS:.0f} s: see {data.log}.")
        time.sleep(PAUSE_SECONDS)
    prepare(cluster)


def _start_supervisor(data: DataDirectory) -> None:
    data.failure.unlink(missing_ok=True)
    path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    if data.log.exists() and data.log.stat().st_size > LARGEST_LOG:
        data.log.replace(data.log.with_suffix(".log.old"))
    log = os.open(data.log, flags, 0o600)
    try:
        supervisor = subprocess.run(
            [sys.executable, "-m", "carecollective.postgres.embedded.supervisor", str(data.root)],
            cwd="/",
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=False,
        )
    finally:
        os.close(log)
    if supervisor.returncode != 0:
        raise PostgresError(f"The process that keeps PostgreSQL running could not start: see {data.log}.")
