"""The background worker: a plain loop under an advisory lock, so that any number may run and one works."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db import Error, close_old_connections, connection
from django.utils.module_loading import import_string

from carecollective.core.session_lock import SessionLock

logger = logging.getLogger(__name__)

LOCK_KEY = 7_262_002
TICK_SECONDS = 1.0
HEARTBEAT_SECONDS = 2.0
NAME = "worker"


@dataclass
class PeriodicTask:
    path: str
    seconds: float
    run: Callable[[], int]
    due: float = 0.0

    @classmethod
    def named(cls, path: str, seconds: float) -> "PeriodicTask":
        return cls(path=path, seconds=seconds, run=import_string(path))


class Worker:
    """Runs the periodic tasks while it holds the lock; waits as the standby while another worker holds it.

    Losing the lock's connection is how a restart of the database is noticed: the loop then begins again at its next tick.
    """

    def __init__(self, tasks: Iterable[tuple[str, float]]) -> None:
        self.tasks = [PeriodicTask.named(path, seconds) for path, seconds in tasks]
        self.stopping = threading.Event()
        self.lock = SessionLock(LOCK_KEY)
        self.last_beat = float("-inf")

    def run(self) -> None:
        """Work until `stop`; the task in hand is finished first."""
        while not self.stopping.is_set():
            self.tick()
            self.stopping.wait(TICK_SECONDS)
        self.lock.release()

    def stop(self) -> None:
        self.stopping.set()

    def tick(self) -> None:
        """Run every task that is due, if the lock is ours."""
        try:
            if not self._holds_lock():
                return
            self._beat()
        except Error as problem:
            logger.warning("The worker lost the database and will try again: %s", str(problem).strip())
            self.lock.release()
            return
        for task in self.tasks:
            if self.stopping.is_set():
                return
            if task.due <= time.monotonic():
                self._run_task(task)

    def _run_task(self, task: PeriodicTask) -> None:
        try:
            count = task.run()
            if count:
                logger.info("worker task %s: %s", task.path, count)
        except Exception:
            # One task's failure is that task's alone: it is due again after its usual pause.
            logger.exception("worker task %s failed", task.path)
            if connection.in_atomic_block:
                connection.close()
        finally:
            task.due = time.monotonic() + task.seconds
            close_old_connections()

    def _holds_lock(self) -> bool:
        if not self.lock.is_held and self.lock.take():
            logger.info("The worker has taken up its work.")
            self.last_beat = float("-inf")
        return self.lock.is_held

    def _beat(self) -> None:
        """Leave a sign of life, over the connection that holds the lock: it proves both."""
        if time.monotonic() < self.last_beat + HEARTBEAT_SECONDS:
            return
        with self.lock.cursor() as cursor:
            cursor.execute("UPDATE core_workerheartbeat SET beat_at = clock_timestamp() WHERE name = %s", [NAME])
            if cursor.rowcount == 0:
                cursor.execute(
                    "INSERT INTO core_workerheartbeat (name, beat_at) VALUES (%s, clock_timestamp())", [NAME]
                )
        self.last_beat = time.monotonic()
