"""One background thread in each process."""

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T", bound=threading.Thread)


class ProcessThread(Generic[T]):
    """A thread that each process starts on demand. A fork begins without one: threads do not survive it, held locks do."""

    def __init__(self, make: Callable[[], T]) -> None:
        self.make = make
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self.thread: T | None = None
        self._starting = threading.Lock()

    def start(self) -> T:
        """Return this process's thread, started if necessary."""
        thread = self.thread
        if thread is not None and thread.is_alive():
            return thread
        with self._starting:
            if self.thread is None or not self.thread.is_alive():
                self.thread = self.make()
                self.thread.start()
            return self.thread

    def take(self) -> T | None:
        """Return this process's thread, if there is one, and forget it; the next `start` makes another."""
        with self._starting:
            thread, self.thread = self.thread, None
        return thread
