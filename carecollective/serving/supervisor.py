"""The running site: gunicorn, the worker and the guard as children of one process that ends with all of them."""

import contextlib
import errno
import hashlib
import http.client
import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any

from django import get_version
from django.conf import settings

from carecollective import postgres
from carecollective.observability.logging import scrub
from carecollective.postgres.locks import is_locked, try_lock
from carecollective.serving.children import STOP_SECONDS, Child, Release
from carecollective.serving.restarts import Answer, ControlFiles

# What a site takes to end beyond the time that it gives its processes.
KILLED_SECONDS = 15.0
HEALTH_SECONDS = 30.0
# How long a new release may take until its web server and its helpers say that they are ready.
READY_SECONDS = 120.0
DATABASE_CHECK_SECONDS = 1.0
LOOK_SECONDS = 0.2
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


class NotReady(Exception):
    """Why a new release cannot take over, in one sentence."""


class WebServerEnded(Exception):
    """The web server ended by itself."""

    def __init__(self, code: int) -> None:
        super().__init__(f"The web server ended by itself (code {code}).")
        self.code = code


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


def lock_path() -> Path:
    """Return the file that a running site holds locked, with its address and its process id in it.

    The embedded database has one site; with an operator's, several may share a DATA_DIR, each on a port of its own.
    """
    name = "serve.lock" if settings.LOCAL_MODE else f"serve-{settings.BIND}-{settings.PORT}.lock"
    path: Path = settings.DATA_DIR / name
    return path


def stop_running_site() -> bool:
    """End the site that runs on this DATA_DIR, and tell whether there was one. Raises StopError when it does not end."""
    path = lock_path()
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
    """Starts the processes of a site, keeps them running, changes them for a new release's, and ends with all of them."""

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
        self.release = Release.own()
        self.control = ControlFiles(lock_path())
        self.children: dict[str, Child] = {}
        self.retiring: list[Child] = []
        self.pauses = {helper: Pauses() for helper in HELPERS}
        self.started = dict.fromkeys(HELPERS, 0.0)
        self.due = dict.fromkeys(HELPERS, 0.0)
        self.database_check_due = 0.0

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Make sure that this is the only site of its lock file and that its port is free, for as long as it runs."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._hear)
        path = lock_path()
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
        descriptor = try_lock(path)
        if descriptor is None:
            raise StartError(f"The site is already running at {path.read_text().split()[0]} from {settings.DATA_DIR}.")
        try:
            with self._bound() as self.listener:
                os.truncate(descriptor, 0)
                os.write(descriptor, f"{self.address}\n{os.getpid()}\n".encode())
                self.control.clear()
                yield
        finally:
            self._stop_children()
            os.close(descriptor)

    def serve(self) -> int:
        """Run the children until one is asked to stop, and return the exit code."""
        self.serving = True
        self.children["web"] = self._start_web()
        for helper in HELPERS:
            self._start_helper(helper)
        self._announce()
        try:
            while not self.stopping:
                self._look_after_children()
                release = self.control.take_request()
                if release is not None:
                    self._change_to(release)
                time.sleep(LOOK_SECONDS)
        except WebServerEnded as problem:
            self.say(str(problem))
            return problem.code if problem.code > 0 else 1
        self.say("\nStopping …")
        return 0

    def _look_after_children(self) -> None:
        """Start again what ended. Raises WebServerEnded."""
        web = self.children["web"].poll()
        if web is not None:
            raise WebServerEnded(web)
        now = time.monotonic()
        for helper in HELPERS:
            if not self.children[helper].has_ended():
                continue
            if self.due[helper] == 0.0:
                pause = self.pauses[helper].after(now - self.started[helper])
                self.say(f"The {helper} ended; starting it again in {pause:.0f} s.")
                self.due[helper] = now + pause
            elif now >= self.due[helper]:
                self._start_helper(helper)
        self.retiring = [child for child in self.retiring if not child.has_ended()]
        if settings.LOCAL_MODE and now >= self.database_check_due:
            self._look_after_database()
            self.database_check_due = now + DATABASE_CHECK_SECONDS

    # Another release takes over

    def _change_to(self, release: Release) -> None:
        """Start `release` beside what runs; once it is ready, end the old. If it never is, the old goes on serving."""
        self.say(f"Changing to the release in {release.folder} …")
        new: dict[str, Child] = {}
        try:
            self._prepare(release)
            new["web"] = self._start_web(release)
            self._wait_for("web server", new["web"])
            for helper, role in HELPERS.items():
                new[helper] = Child(release, "manage.py", helper, role=role)
            for helper in HELPERS:
                self._wait_for(helper, new[helper])
        except (NotReady, OSError) as problem:
            sentence = f"The new release does not start, the old one goes on serving: {problem}"
            self.say(sentence)
            self.control.answer(Answer.FAILED, sentence)
        else:
            new, self.children, self.release = self.children, new, release
            self.started = dict.fromkeys(HELPERS, time.monotonic())
            self.due = dict.fromkeys(HELPERS, 0.0)
            sentence = f"The release in {release.folder} serves at {self.address}; requests in hand are finished."
            self.say(sentence)
            self.control.answer(Answer.DONE, sentence)
        finally:
            self._retire(new)

    def _prepare(self, release: Release) -> None:
        """Have the new release bring the database and the static files up to date. Raises NotReady with what it says."""
        with tempfile.TemporaryFile() as messages:
            child = Child(release, "manage.py", "serve", "--prepare", role="owner", stderr=messages)
            try:
                while child.poll() is None:
                    self._wait_a_moment()
            finally:
                self._retire({"prepare": child})
            if child.poll() != 0:
                messages.seek(0)
                lines = [line.strip() for line in messages.read().decode(errors="replace").splitlines() if line.strip()]
                raise NotReady(scrub(lines[-1]) if lines else f"`serve --prepare` ended with code {child.poll()}.")

    def _wait_for(self, name: str, child: Child) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not child.is_ready():
            if child.poll() is not None:
                raise NotReady(f"its {name} ended with code {child.poll()}; the site's log says why.")
            if time.monotonic() > deadline:
                raise NotReady(f"its {name} was not ready after {READY_SECONDS:.0f} s; the site's log may say why.")
            self._wait_a_moment()

    def _wait_a_moment(self) -> None:
        self._look_after_children()
        if self.stopping:
            raise NotReady("the site was asked to stop.")
        time.sleep(LOOK_SECONDS)

    def _retire(self, children: dict[str, Child]) -> None:
        for child in children.values():
            child.terminate()
            self.retiring.append(child)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if not self.stopping:
            self.stopping = True
            if not self.serving:
                raise Stopped

    @contextlib.contextmanager
    def _bound(self) -> Iterator[socket.socket]:
        """Hold the address for as long as the site runs: one web server after another listens on the same socket."""
        with socket.socket(socket.AF_INET6 if ":" in self.bind else socket.AF_INET) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # A moment's patience: the children of a site that was killed need it to end.
            deadline = time.monotonic() + 2
            while True:
                try:
                    listener.bind((self.bind, self.port))
                    break
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
                time.sleep(LOOK_SECONDS)
            yield listener

    def _start_web(self, release: Release | None = None) -> Child:
        door = self.listener.fileno()
        # fmt: off
        return Child(
            release or self.release, "-m", "gunicorn", "--config", "gunicorn.conf.py", "--bind", f"fd://{door}",
            descriptors=(door,),
        )
        # fmt: on

    def _start_helper(self, name: str) -> None:
        self.children[name] = Child(self.release, "manage.py", name, role=HELPERS[name])
        self.started[name], self.due[name] = time.monotonic(), 0.0

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
        self._retire(self.children)
        while not all(child.has_ended() for child in self.retiring):
            time.sleep(0.02)


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
