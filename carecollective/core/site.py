"""The running site: gunicorn, the worker and the guard as children of one process that ends with all of them."""

import contextlib
import ctypes
import errno
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any

from django import get_version
from django.conf import settings

from carecollective import postgres
from carecollective.postgres.locks import is_locked, try_lock

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 15.0
# What a site takes to end beyond the time that it gives its processes.
KILLED_SECONDS = 15.0
HEALTH_SECONDS = 30.0
KEEPER_CHECK_SECONDS = 1.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
STEADY_SECONDS = 60.0
# The commands that run beside the web server, started again when they end, each in the database role it needs.
HELPERS = {"worker": "web", "guard": "guard"}
SAMPLE_LOGINS = (
    ("amina@example.org", "legacy-amina", "staff and administrator"),
    ("ben@example.org", "legacy-ben", "staff"),
    ("dolores@example.org", "legacy-dolores", "member"),
)


class StartError(Exception):
    """Why the site does not start, in one sentence for the person who tried."""


class StopError(Exception):
    """Why a running site could not be stopped, in one sentence."""


class Stopped(BaseException):
    """Somebody asked the site to stop. Not an Exception, so that no handler on the way mistakes it for a failure."""


class Pauses:
    """How long to wait before a helper is started again: longer each time, and shortly again once it has run steadily."""

    def __init__(self) -> None:
        self.next = FIRST_PAUSE_SECONDS

    def after(self, ran_seconds: float) -> float:
        """Return the seconds to wait after a run of so many seconds."""
        if ran_seconds >= STEADY_SECONDS:
            self.next = FIRST_PAUSE_SECONDS
        pause, self.next = self.next, min(self.next * 2, LONGEST_PAUSE_SECONDS)
        return pause


def _lock_path() -> Path:
    """Return the file that a running site holds locked, with its address and its process id in it."""
    path: Path = settings.DATA_DIR / "serve.lock"
    return path


def stop_running_site() -> bool:
    """End the site that runs on this DATA_DIR, and tell whether there was one. Raises StopError when it does not end."""
    path = _lock_path()
    if not settings.LOCAL_MODE or not path.exists() or not is_locked(path):
        return False
    try:
        os.kill(int(path.read_text().split()[1]), signal.SIGTERM)
    except (IndexError, ValueError, OSError) as problem:
        raise StopError(
            f"The site on {settings.DATA_DIR} cannot be stopped from here ({problem}): stop it there."
        ) from None
    deadline = time.monotonic() + STOP_SECONDS + KILLED_SECONDS
    while is_locked(path):
        if time.monotonic() > deadline:
            raise StopError(f"The site on {settings.DATA_DIR} was asked to stop, and still runs.")
        time.sleep(0.1)
    return True


class Site:
    def __init__(self, *, say: Callable[[str], None]) -> None:
        self.say = say
        self.bind: str = settings.BIND
        self.port: int = settings.PORT
        bound = ip_address(self.bind)
        # Who listens everywhere is also found here.
        self.host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.bind, self.bind)  # noqa: S104 (compared, not bound)
        self.address = f"http://{_in_url(self.host)}:{self.port}"
        self.is_public = not bound.is_loopback
        self.stopping = False
        self.serving = False
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Make sure that this is the only site of its DATA_DIR and that its port is free, for as long as it runs."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._hear)
        lock_path = _lock_path()
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
        descriptor = try_lock(lock_path) if settings.LOCAL_MODE else None
        if settings.LOCAL_MODE and descriptor is None:
            raise StartError(
                f"The site is already running at {lock_path.read_text().split()[0]} from {settings.DATA_DIR}."
            )
        try:
            self._check_port()
            if descriptor is not None:
                os.truncate(descriptor, 0)
                os.write(descriptor, f"{self.address}\n{os.getpid()}\n".encode())
            yield
        finally:
            self._stop_children()
            if descriptor is not None:
                os.close(descriptor)

    def serve(self) -> int:
        """Run the children until one is asked to stop, and return the exit code."""
        self.serving = True
        self._start_web()
        for helper in HELPERS:
            self._start_helper(helper)
        self._announce()
        pauses, due = {helper: Pauses() for helper in HELPERS}, dict.fromkeys(HELPERS, 0.0)
        started = dict.fromkeys(HELPERS, time.monotonic())
        keeper_due = 0.0
        while not self.stopping:
            web = self.children["web"].poll()
            if web is not None:
                self.say(f"The web server ended by itself (code {web}).")
                return web if web > 0 else 1
            now = time.monotonic()
            for helper in HELPERS:
                if self.children[helper].poll() is None:
                    continue
                if due[helper] == 0.0:
                    pause = pauses[helper].after(now - started[helper])
                    self.say(f"The {helper} ended; starting it again in {pause:.0f} s.")
                    due[helper] = now + pause
                elif now >= due[helper]:
                    self._start_helper(helper)
                    started[helper], due[helper] = now, 0.0
            if settings.LOCAL_MODE and now >= keeper_due:
                self._look_after_database()
                keeper_due = now + KEEPER_CHECK_SECONDS
            time.sleep(0.2)
        self.say("\nStopping …")
        return 0

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if not self.stopping:
            self.stopping = True
            if not self.serving:
                raise Stopped

    def _check_port(self) -> None:
        # A moment's patience: the children of a site that was killed need it to end.
        deadline = time.monotonic() + 2
        while True:
            with socket.socket(socket.AF_INET6 if ":" in self.bind else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((self.bind, self.port))
                    return
                except PermissionError:
                    raise StartError(
                        f"PORT {self.port} needs rights that you do not have: set a PORT above 1023."
                    ) from None
                except OSError as problem:
                    if problem.errno == errno.EADDRNOTAVAIL:
                        raise StartError(f"BIND {self.bind} is no address of this machine.") from None
                    if problem.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                        free = f"PORT={self.port + 1} make run"
                        raise StartError(f"PORT {self.port} is already in use: set another, such as {free}.") from None
            time.sleep(0.2)

    def _start_web(self) -> None:
        # fmt: off
        self.children["web"] = self._start(
            "-m", "gunicorn", "--config", "gunicorn.conf.py", "--bind", f"{_in_url(self.bind)}:{self.port}",
            "--workers", str(settings.WEB_CONCURRENCY),
        )
        # fmt: on

    def _start_helper(self, name: str) -> None:
        self.children[name] = self._start("manage.py", name, role=HELPERS[name])

    def _start(self, *arguments: str, role: str = "web") -> subprocess.Popen[bytes]:
        descriptor = postgres.lock_descriptor(settings.DATA_DIR) if settings.LOCAL_MODE else None
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=settings.BASE_DIR,
            env={**os.environ, "DATABASE_ROLE": role},
            stdin=subprocess.DEVNULL,
            # Ctrl-C reaches the whole terminal; only this process shall answer it.
            start_new_session=True,
            # The database stays for as long as a child lives, even if this process is killed.
            pass_fds=() if descriptor is None else (descriptor,),
            preexec_fn=_end_with_parent(),  # noqa: PLW1509 (this process has one thread)
        )

    def _look_after_database(self) -> None:
        try:
            postgres.ensure_running(settings.DATA_DIR)
        except postgres.PostgresError as problem:
            self.say(str(problem))

    def _announce(self) -> None:
        deadline = time.monotonic() + HEALTH_SECONDS
        while not self.stopping and self.children["web"].poll() is None:
            said, missing = self._health()
            if said == "ok" or (said and time.monotonic() > deadline):
                break
            if time.monotonic() > deadline:
                self.say("The site does not answer yet; its messages stand above.")
                return
            time.sleep(0.1)
        if self.stopping or self.children["web"].poll() is not None:
            return
        if said != "ok":
            self.say(f"Something is not well: {self.address}/api/health says {said} ({missing}).")
        self.say(f"\nCare Collective is at {self.address}  (Ctrl-C stops it)")
        if settings.LOCAL_MODE:
            self.say("\nSign in with:")
            for email, password, role in SAMPLE_LOGINS:
                self.say(f"  {email:<22} {password:<16} {role}")
            if self.is_public:
                self.say(
                    "\nBIND lets other machines in, and anybody can sign in with these: set DATABASE_URL for real use."
                )
            self.say("")

    def _health(self) -> tuple[str, str]:
        """Return what the health page says, and the names of the checks that fail; nothing while it does not answer."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            connection.request("GET", "/api/health", headers={"Connection": "close"})
            said = json.loads(connection.getresponse().read())
            checks: dict[str, dict[str, object]] = said.get("checks", {})
            return str(said["status"]), ", ".join(name for name, found in checks.items() if not found.get("ok"))
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            return "", ""
        finally:
            connection.close()

    def _stop_children(self) -> None:
        for child in self.children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self.children.values():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                # Its session is its own, so this ends its children with it and nothing else.
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


class StaticFiles:
    """The collected files, and whether they are still what the sources would give."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = folder.with_name(f"{folder.name}.sha256")

    def fingerprint(self, finders: Iterable[Any]) -> str:
        """Return a digest of every source file's place, size and time, and of what processes them."""
        digest = hashlib.sha256(f"{get_version()} {settings.STORAGES['staticfiles']}".encode())
        for finder in finders:
            for path, storage in finder.list([]):
                found = os.stat(storage.path(path))
                digest.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def are_current(self, fingerprint: str) -> bool:
        return self.folder.is_dir() and self.mark.exists() and self.mark.read_text() == fingerprint

    def mark_current(self, fingerprint: str) -> None:
        self.mark.write_text(fingerprint)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _end_with_parent() -> Callable[[], None] | None:
    """Return what a new child runs so that Linux ends it when this process is killed."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def request() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return request
