"""The background worker: one thread for each task. Of several workers one leads, by an advisory lock."""

import logging
import threading
import time
from collections.abc import Callable, Iterable

from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, close_old_connections, connection, connections
from django.utils.module_loading import import_string

from carecollective.core.session_lock import SessionLock
from carecollective.postgres import advisory_locks

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
HEARTBEAT_SECONDS = 2.0
# A task that runs longer hangs, or has far more to do than expected. WORKER_TASK_LIMITS has the exceptions.
STUCK_SECONDS = 120.0
# Less than the site waits for its processes before it kills them.
STOP_SECONDS = 10.0
# A task that runs this often or more keeps its connection, so that it works when none is left.
KEEPS_CONNECTION_SECONDS = 60.0
NAME = "worker"


class TaskThread(threading.Thread):
    """Runs one task again and again while this process leads, on a connection of its own.

    A daemon thread: the process can end while a task hangs.
    """

    def __init__(self, path: str, seconds: float, *, leading: threading.Event, stopping: threading.Event) -> None:
        super().__init__(name=path, daemon=True)
        self.path = path
        self.seconds = seconds
        self.task: Callable[[], int] = import_string(path)
        self.leading = leading
        self.stopping = stopping
        self.took_up_at: float | None = None
        self.started_at: float | None = None
        self.has_lost_database = False

    @property
    def limit_seconds(self) -> float:
        """How long one run of this task may take."""
        return float(settings.WORKER_TASK_LIMITS.get(self.path, STUCK_SECONDS))

    @property
    def is_stuck(self) -> bool:
        """Whether the present run takes too long, or the thread has ended."""
        started_at = self.started_at
        if started_at is not None:
            return time.monotonic() - started_at > self.limit_seconds
        return self.ident is not None and not self.is_alive()

    def run(self) -> None:
        while not self.stopping.is_set():
            if self.leading.is_set():
                self.took_up_at = self.took_up_at or time.monotonic()
                self.run_task()
                self.stopping.wait(self.seconds)
            else:
                self.took_up_at = None
                self.stopping.wait(TICK_SECONDS)
        connections.close_all()

    def run_task(self) -> None:
        self.started_at = time.monotonic()
        try:
            count = self.task()
            if count:
                logger.info("worker task %s: %s", self.path, count)
            self.has_lost_database = False
        except (OperationalError, InterfaceError) as problem:
            if not self.has_lost_database:  # an outage is one line, not one for each try
                logger.warning("worker task %s lost the database: %s", self.path, str(problem).strip())
            self.has_lost_database = True
        except Exception:
            # The other tasks go on, and this one runs again after its usual pause.
            logger.exception("worker task %s failed", self.path)
        finally:
            self.started_at = None
            if connection.in_atomic_block or self.seconds > KEEPS_CONNECTION_SECONDS:
                connections.close_all()
            close_old_connections()


def seconds_at_work() -> float:
    """Return how many seconds ago the worker that runs this task took up its work; infinity outside a worker."""
    thread = threading.current_thread()
    took_up_at = thread.took_up_at if isinstance(thread, TaskThread) else None
    return float("inf") if took_up_at is None else time.monotonic() - took_up_at


class Worker:
    """Runs the periodic tasks while it holds the lock. While another worker holds it, this one is the standby.

    A restart of the database ends the lock's connection. The tasks go on once this worker has the lock again. The
    heartbeat says that this worker runs, and which of its tasks hang.
    """

    def __init__(self, tasks: Iterable[tuple[str, float]]) -> None:
        self.stopping = threading.Event()
        self.leading = threading.Event()
        self.threads = [
            TaskThread(path, seconds, leading=self.leading, stopping=self.stopping) for path, seconds in tasks
        ]
        self.lock = SessionLock(advisory_locks.WORKER)
        self.last_beat = float("-inf")
        self.known_stuck: set[str] = set()

    def run(self) -> None:
        """Work until `stop`, then wait up to STOP_SECONDS for the tasks that run."""
        for thread in self.threads:
            thread.start()
        while not self.stopping.is_set():
            self.tick()
            self.stopping.wait(TICK_SECONDS)
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                logger.warning("worker task %s did not end within %.0f s", thread.path, STOP_SECONDS)
        self.lock.release()
        # When the lock connects, Django opens another connection, to look types up.
        connections.close_all()

    def stop(self) -> None:
        self.stopping.set()

    def tick(self) -> None:
        """Take the lock, or check that it is still ours, and write the heartbeat."""
        try:
            if not self.lock.is_held and self.lock.take():
                logger.info("The worker has taken up its work.")
                self.last_beat = float("-inf")
            if self.lock.is_held:
                self._beat()
                self.leading.set()
        except Error as problem:
            logger.warning("The worker lost the database and will try again: %s", str(problem).strip())
            self.leading.clear()
            self.lock.release()

    def stuck_tasks(self) -> list[str]:
        """Return the paths of the tasks that hang or have ended, and log each once."""
        stuck = {thread.path: thread for thread in self.threads if thread.is_stuck and not self.stopping.is_set()}
        for path, thread in stuck.items():
            if path not in self.known_stuck:
                logger.error(
                    "worker task %s hangs or has ended (over %.0f s); the other tasks go on", path, thread.limit_seconds
                )
        self.known_stuck = set(stuck)
        return list(stuck)

    def _beat(self) -> None:
        """Write the heartbeat, on the lock's own connection: that proves that the lock is held."""
        if time.monotonic() < self.last_beat + HEARTBEAT_SECONDS:
            return
        with self.lock.cursor() as cursor:
            cursor.execute(
                "INSERT INTO core_workerheartbeat (name, beat_at, stuck_tasks) VALUES (%s, clock_timestamp(), %s)"
                " ON CONFLICT (name) DO UPDATE SET beat_at = excluded.beat_at, stuck_tasks = excluded.stuck_tasks",
                [NAME, " ".join(self.stuck_tasks())],
            )
        self.last_beat = time.monotonic()
