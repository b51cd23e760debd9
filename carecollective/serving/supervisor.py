"""The supervisor: it starts gunicorn, the worker and the guard, starts again what ends, and ends with all of them."""

import contextlib
import errno
import http.client
import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from types import FrameType

from django.conf import settings

from carecollective.observability.logging import scrub
from carecollective.postgres.embedded.server import ensure_running
from carecollective.postgres.errors import PostgresError
from carecollective.postgres.locks import is_locked, try_lock
from carecollective.serving.children import STOP_SECONDS, Child, Release
from carecollective.serving.restarts import Answer, ControlFiles

# How long a site may take to end, beyond STOP_SECONDS for its processes.
KILLED_SECONDS = 15.0
HEALTH_SECONDS = 30.0
# How long a new release may take until its web server and its helpers are ready.
READY_SECONDS = 120.0
DATABASE_CHECK_SECONDS = 1.0
POLL_SECONDS = 0.2
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
STEADY_SECONDS = 60.0
# The commands that run beside the web server, each with its database role.
HELPERS = {"worker": "web", "guard": "guard"}
SAMPLE_LOGINS = (
    ("amina@example.org", "legacy-amina", "staff and administrator"),
    ("ben@example.org", "legacy-ben", "staff"),
    ("dolores@example.org", "legacy-dolores", "member"),
)


class SiteError(Exception):
    """Why the site does not start or stop, in one sentence for the person who tried."""


class Stopped(BaseException):
    """The site was asked to stop. Not an Exception, so that no handler takes it for a failure."""


class NotReady(Exception):
    """Why a new release cannot take over, in one sentence."""


class WebServerEnded(Exception):
    """The web server ended by itself."""

    def __init__(self, code: int) -> None:
        super().__init__(f"The web server ended by itself (code {code}).")
        self.code = code


class Pauses:
    """How long to wait before a helper is started again: longer each time, until one run is steady."""

    def __init__(self) -> None:
        self.next = FIRST_PAUSE_SECONDS

    def after(self, ran_seconds: float) -> float:
        """Return how many seconds to wait after a run of `ran_seconds`."""
        if ran_seconds >= STEADY_SECONDS:
            self.next = FIRST_PAUSE_SECONDS
        pause, self.next = self.next, min(self.next * 2, LONGEST_PAUSE_SECONDS)
        return pause


def lock_path() -> Path:
    """Return the file that a running site locks. It holds the site's address and process id.

    The embedded database has one site. With an operator's database, several sites may share a DATA_DIR, each on its port.
    """
    name = "serve.lock" if settings.LOCAL_MODE else f"serve-{settings.BIND}-{settings.PORT}.lock"
    path: Path = settings.DATA_DIR / name
    return path


def stop_running_site() -> bool:
    """Stop the site that runs on this DATA_DIR; return whether there was one. Raises SiteError if it does not end."""
    path = lock_path()
    if not settings.LOCAL_MODE or not path.exists() or not is_locked(path):
        return False
    try:
        os.kill(int(path.read_text().split()[1]), signal.SIGTERM)
    except (IndexError, ValueError, OSError) as problem:
        raise SiteError(
            f"The site on {settings.DATA_DIR} cannot be stopped from here ({problem}): stop it there."
        ) from None
    deadline = time.monotonic() + STOP_SECONDS + KILLED_SECONDS
    while is_locked(path):
        if time.monotonic() > deadline:
            raise SiteError(f"The site on {settings.DATA_DIR} was asked to stop, and still runs.")
        time.sleep(0.1)
    return True


class Site:
    """Runs the processes of a site, and replaces them by those of a new release on request."""

    def __init__(self, *, say: Callable[[str], None]) -> None:
        self.say = say
        self.bind: str = settings.BIND
        self.port: int = settings.PORT
        bound = ip_address(self.bind)
        # A site that listens on all addresses is reached on this one.
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
        self.database_check_due = 0.0

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the site's lock and its port while it runs. Raises SiteError when either is taken."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        path = lock_path()
        settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
        descriptor = try_lock(path)
        if descriptor is None:
            raise SiteError(f"The site is already running at {path.read_text().split()[0]} from {settings.DATA_DIR}.")
        try:
            with self._listening() as self.listener:
                os.truncate(descriptor, 0)
                os.write(descriptor, f"{self.address}\n{os.getpid()}\n".encode())
                self.control.clear()
                yield
        finally:
            self._stop_children()
            os.close(descriptor)

    def serve(self) -> int:
        """Run the processes until the site is asked to stop; return the exit code."""
        self.serving = True
        self.children["web"] = self._start_web(self.release)
        for helper in HELPERS:
            self.children[helper] = self._start_helper(helper, self.release)
        self._announce()
        try:
            while not self.stopping:
                self._restart_ended()
                release = self.control.take_request()
                if release is not None:
                    self._change_to(release)
                time.sleep(POLL_SECONDS)
        except WebServerEnded as problem:
            self.say(str(problem))
            return problem.code if problem.code > 0 else 1
        self.say("\nStopping …")
        return 0

    def _restart_ended(self) -> None:
        """Start again each helper that ended. Raises WebServerEnded."""
        web = self.children["web"].poll()
        if web is not None:
            raise WebServerEnded(web)
        now = time.monotonic()
        for helper in HELPERS:
            child = self.children[helper]
            if not child.has_ended():
                continue
            if child.restart_at is None:
                pause = self.pauses[helper].after(now - child.started_at)
                self.say(f"The {helper} ended; starting it again in {pause:.0f} s.")
                child.restart_at = now + pause
            elif now >= child.restart_at:
                self.children[helper] = self._start_helper(helper, self.release)
        self.retiring = [child for child in self.retiring if not child.has_ended()]
        if settings.LOCAL_MODE and now >= self.database_check_due:
            try:
                ensure_running(settings.DATA_DIR)
            except PostgresError as problem:
                self.say(str(problem))
            self.database_check_due = now + DATABASE_CHECK_SECONDS

    # A new release

    def _change_to(self, release: Release) -> None:
        """Start `release` beside the old one, which ends once the new one is ready, and else goes on serving."""
        self.say(f"Changing to the release in {release.folder} …")
        new: dict[str, Child] = {}
        try:
            self._prepare(release)
            new["web"] = self._start_web(release)
            self._wait_for("web server", new["web"])
            for helper in HELPERS:
                new[helper] = self._start_helper(helper, release)
            for helper in HELPERS:
                self._wait_for(helper, new[helper])
        except (NotReady, OSError) as problem:
            sentence = f"The new release does not start, the old one goes on serving: {problem}"
            self.say(sentence)
            self.control.answer(Answer.FAILED, sentence)
        else:
            new, self.children, self.release = self.children, new, release
            sentence = f"The release in {release.folder} serves at {self.address}; requests in hand are finished."
            self.say(sentence)
            self.control.answer(Answer.DONE, sentence)
        finally:
            self._retire(new)

    def _prepare(self, release: Release) -> None:
        """Let the new release prepare the database and the static files. Raises NotReady with its last line."""
        with tempfile.TemporaryFile() as messages:
            child = Child(release, "manage.py", "serve", "--prepare", role="owner", stderr=messages)
            try:
                while child.poll() is None:
                    self._poll()
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
            self._poll()

    def _poll(self) -> None:
        self._restart_ended()
        if self.stopping:
            raise NotReady("the site was asked to stop.")
        time.sleep(POLL_SECONDS)

    def _retire(self, children: dict[str, Child]) -> None:
        for child in children.values():
            child.terminate()
            self.retiring.append(child)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self.stopping:
            self.stopping = True
            if not self.serving:
                raise Stopped

    @contextlib.contextmanager
    def _listening(self) -> Iterator[socket.socket]:
        """Bind the address while the site runs. Every release's web server listens on this same socket."""
        with socket.socket(socket.AF_INET6 if ":" in self.bind else socket.AF_INET) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # The processes of a site that was killed may take a moment to end.
            deadline = time.monotonic() + 2
            while True:
                try:
                    listener.bind((self.bind, self.port))
                    break
                except PermissionError:
                    raise SiteError(
                        f"PORT {self.port} needs rights that you do not have: set a PORT above 1023."
                    ) from None
                except OSError as problem:
                    if problem.errno == errno.EADDRNOTAVAIL:
                        raise SiteError(f"BIND {self.bind} is no address of this machine.") from None
                    if problem.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                        free = f"PORT={self.port + 1} make run"
                        raise SiteError(f"PORT {self.port} is already in use: set another, such as {free}.") from None
                time.sleep(POLL_SECONDS)
            yield listener

    def _start_web(self, release: Release) -> Child:
        descriptor = self.listener.fileno()
        # fmt: off
        return Child(
            release, "-m", "gunicorn", "--config", "gunicorn.conf.py", "--bind", f"fd://{descriptor}",
            descriptors=(descriptor,),
        )
        # fmt: on

    def _start_helper(self, name: str, release: Release) -> Child:
        return Child(release, "manage.py", name, role=HELPERS[name])

    def _announce(self) -> None:
        deadline = time.monotonic() + HEALTH_SECONDS
        status = failing = ""
        while status != "ok" and time.monotonic() < deadline:
            time.sleep(0.1)
            status, failing = self._health()
            if self.stopping or self.children["web"].poll() is not None:
                return
        if not status:
            self.say("The site does not answer yet; its messages stand above.")
            return
        if status != "ok":
            self.say(f"Something is not well: {self.address}/api/health says {status} ({failing}).")
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
        """Return the status of /api/health and the names of its failing checks; two empty strings without an answer."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            connection.request("GET", "/api/health", headers={"Connection": "close"})
            health = json.loads(connection.getresponse().read())
            failing = [name for name, check in health.get("checks", {}).items() if not check.get("ok")]
            return str(health["status"]), ", ".join(failing)
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            return "", ""
        finally:
            connection.close()

    def _stop_children(self) -> None:
        self._retire(self.children)
        while not all(child.has_ended() for child in self.retiring):
            time.sleep(0.02)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
