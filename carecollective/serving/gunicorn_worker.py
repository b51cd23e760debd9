"""The gunicorn worker of `make run`. Its threads serve requests and never wait for a client.

gunicorn's own threaded worker reads a request in the thread that serves it: a few slow clients would hold every thread.
Here the main loop reads all requests and sends all answers. A thread gets only complete requests, and each client has a
deadline. See `docs/decisions/0025-buffered-requests.md`.
"""

import errno
import gc
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.workers.gthread import ThreadWorker

from carecollective.serving.connection import Connection, State, seconds_to_send
from carecollective.serving.http_reader import BodyTooLarge, MissingHost
from carecollective.serving.readiness import announce_ready
from carecollective.serving.refusals import RefusalWriter, RequestTimeout, ask
from carecollective.serving.thread_pool import WarmThreadPool
from carecollective.web.server_limits import (
    BODY_SECONDS,
    BUFFERED_BYTES,
    FOR_MONITORS,
    HEAD_SECONDS,
    LINGER_SECONDS,
    MONITOR_THREADS,
)

READ_BYTES = 64 * 1024
SWEEP_SECONDS = 0.5
NOTIFY_SECONDS = 1.0
LIVE_PATH = "/api/health/live"
CHECK_EACH_BYTES = 4 * 1024 * 1024


class ErrorLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's logger without an access log, for which it would collect words at each request. The application writes one."""

    access_log_enabled = False


class BufferingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Reads requests in the main loop and serves in threads; the main loop sends what a client does not take at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open: set[Connection] = set()
        self._sweep_at = self._notify_at = 0.0
        self._added = 0
        self._refusals: RefusalWriter

    def init_process(self) -> None:
        # gunicorn looks each setting up by a search, some thirty for a request. They do not change any more.
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        self._for_monitors = ThreadPoolExecutor(MONITOR_THREADS, thread_name_prefix="monitors")
        super().init_process()

    def get_thread_pool(self) -> WarmThreadPool:
        return WarmThreadPool(self.cfg.threads)

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self._refusals = RefusalWriter(self.wsgi)
        # Asked from within: from outside, another process on the same socket might answer.
        status, _headers, _body = ask(self.wsgi, {"PATH_INFO": LIVE_PATH})
        # What is loaded by now stays. The garbage collector would look at all of it again and again, 50 ms each time.
        gc.collect()
        gc.freeze()
        if status.startswith("200 "):
            announce_ready(of=self.cfg.workers)
        else:
            self.log.error("%s is answered %s", LIVE_PATH, status)

    def notify(self) -> None:
        """Tell the master that the main loop runs, once a second. gunicorn would at each event: a tenth of a request's CPU."""
        now = time.monotonic()
        if now >= self._notify_at:
            self._notify_at = now + NOTIFY_SECONDS
            super().notify()

    # Reading

    def accept(self, listener: Any) -> None:
        """Take one new connection, and close another one when there are too many."""
        try:
            sock, client = listener.accept()
        except OSError as problem:
            if problem.errno in (errno.EMFILE, errno.ENFILE):
                self._shed()
            elif problem.errno not in (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED):
                raise
            return
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.nr_conns += 1
        connection = Connection(self.cfg, sock, client, listener.getsockname())
        connection.enter(State.READING, HEAD_SECONDS)
        self._open.add(connection)
        self._wait(connection, selectors.EVENT_READ)
        # Make room for the next one: at the limit, the main loop stops accepting.
        if self.nr_conns >= self.worker_connections:
            self._shed()

    def _on_event(self, connection: Connection) -> None:
        if connection.socket.fileno() < 0:
            # Closed to make room, after the poller had reported this event.
            return
        try:
            match connection.state:
                case State.SERVING:
                    with connection.lock:
                        is_served = connection.state is not State.SERVING
                        if not is_served:
                            # The client sends more, or has gone: that is read after the answer.
                            self._stop_polling(connection)
                    if is_served:
                        self._read(connection)
                case State.READING:
                    self._read(connection)
                case State.SENDING:
                    self._send(connection)
                case State.LINGERING:
                    if not connection.socket.recv(READ_BYTES):
                        self._close(connection)
        except BlockingIOError:
            pass
        except OSError:
            self._close(connection)
        except Exception:
            # An error of ours in one request must not end the process and all its connections.
            self.log.exception("Error reading a request")
            self._close(connection)

    def _read(self, connection: Connection) -> None:
        had_begun = connection.reader.has_begun
        data = connection.socket.recv(READ_BYTES)
        if not data:
            if had_begun:
                self._refuse(connection, NoMoreData(), begin=connection.reader.begin)
            else:
                self._close(connection)
            return
        connection.reader.buffer += data
        if not had_begun:
            connection.enter(State.READING, HEAD_SECONDS)
        self._serve_next(connection)
        self._bound_memory(len(data))

    def _serve_next(self, connection: Connection) -> None:
        """Give the next request to a thread once it is complete."""
        reader = connection.reader
        begin = reader.begin
        try:
            connection.request = reader.next_request()
        except (ParseException, BodyTooLarge, MissingHost, NoMoreData) as problem:
            self._refuse(connection, problem, begin=begin)
            return
        if connection.request is not None:
            connection.state = State.SERVING
            self.enqueue_req(connection)
            return
        if reader.head is not None and not connection.is_timed_as_body:
            connection.is_timed_as_body = True
            connection.deadline = connection.since + BODY_SECONDS
        if reader.take_continue():
            connection.socket.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def enqueue_req(self, conn: Connection) -> None:
        """Give a request to a thread. Monitors have threads of their own."""
        pool = self._for_monitors if conn.request.path in FOR_MONITORS else self.tpool
        pool.submit(self.handle, conn).add_done_callback(partial(self._on_served, conn))

    # In a thread

    def handle(self, conn: Connection) -> bool:
        """Serve one request; return whether the connection may stay open for another."""
        try:
            return bool(self.handle_request(conn.request, conn))
        except StopIteration:
            # Aborted in the middle of the answer, and logged. The client sees that it is incomplete.
            return False
        except OSError as problem:
            self.log.debug("The client has gone: %s", problem)
            conn.sock.unsent.clear()
            return False

    def _on_served(self, connection: Connection, done: "Future[bool]") -> None:
        """Send the answer and wait for the next request, if nothing is in the way; the main loop need not wake up for that."""
        if not self._finishes_at_once(connection, done):
            self.method_queue.defer(self.finish_request, connection, done)

    def _finishes_at_once(self, connection: Connection, done: "Future[bool]") -> bool:
        if done.exception() or not done.result() or connection.reader.has_begun:
            return False
        try:
            if not connection.sock.flush():
                return False
        except OSError:
            return False
        with connection.lock:
            if connection.polled:
                connection.request, connection.is_timed_as_body = None, False
                connection.enter(State.READING, self._idle_seconds())
            return bool(connection.polled)

    # Sending

    def finish_request(self, conn: Connection, fs: Future[bool]) -> None:
        """Send what is left of the answer that a thread has written. Called in the main loop."""
        try:
            conn.stays_open = fs.result()
        except Exception:
            self.log.exception("Error handling request")
            conn.sock.unsent.clear()
            # Any error here is ours: the client gets a 500.
            self._refuse(conn, RuntimeError())
            return
        conn.request = None
        self._begin_sending(conn)

    def _refuse(self, connection: Connection, problem: BaseException, *, begin: bytes = b"") -> None:
        """Answer with a refusal and close. `begin` is the begin of the request, if it is known."""
        connection.stays_open = False
        known = connection.request or connection.reader.head
        request_id = next((value for name, value in known.headers if name == "X-REQUEST-ID"), None) if known else None
        if known:
            begin = f"{known.method} {known.uri}".encode("latin-1", "replace")
        try:
            # In its own context: what the main loop logs later must not carry this request's id.
            write = partial(self._refusals.write, problem, first_line=begin, request_id=request_id)
            connection.sock.unsent += copy_context().run(write)
        except Exception:
            self.log.exception("Error writing a refusal")
        self._begin_sending(connection)

    def _begin_sending(self, connection: Connection) -> None:
        connection.enter(State.SENDING, seconds_to_send(len(connection.sock.unsent)))
        try:
            self._send(connection)
        except OSError:
            self._close(connection)

    def _send(self, connection: Connection) -> None:
        if not connection.sock.flush():
            is_new = connection.polled != selectors.EVENT_WRITE
            self._wait(connection, selectors.EVENT_WRITE)
            if is_new:
                self._bound_memory(len(connection.sock.unsent))
            return
        connection.is_timed_as_body = False
        if connection.stays_open:
            has_more = connection.reader.has_begun
            connection.enter(State.READING, HEAD_SECONDS if has_more else self._idle_seconds())
            self._wait(connection, selectors.EVENT_READ)
            if has_more:
                self._serve_next(connection)
            return
        # Read and drop what the client still sends: closing at once could destroy the answer on its way.
        connection.reader.buffer.clear()
        connection.socket.shutdown(socket.SHUT_WR)
        connection.enter(State.LINGERING, LINGER_SECONDS)
        self._wait(connection, selectors.EVENT_READ)

    def _idle_seconds(self) -> float:
        return float(self.cfg.keepalive if self.alive else min(self.cfg.keepalive, LINGER_SECONDS))

    # Waiting connections

    def _wait(self, connection: Connection, events: int) -> None:
        def call(_fileobj: Any) -> None:
            self._on_event(connection)

        if not connection.polled:
            self.poller.register(connection.socket, events, call)
        elif connection.polled != events:
            self.poller.modify(connection.socket, events, call)
        connection.polled = events

    def _stop_polling(self, connection: Connection) -> None:
        if connection.polled:
            connection.polled = 0
            self.poller.unregister(connection.socket)

    @property
    def _at_rest(self) -> list[Connection]:
        """The connections that are in no thread."""
        return [connection for connection in self._open if connection.state is not State.SERVING]

    def _close(self, connection: Connection) -> None:
        if connection.socket.fileno() < 0:
            return
        self._stop_polling(connection)
        self._open.discard(connection)
        connection.socket.close()
        self.nr_conns -= 1

    def _shed(self, weight: Callable[[Connection], int] = lambda _connection: 1) -> None:
        """Close the oldest waiting connection of the client address with the highest total weight."""
        weights: Counter[str] = Counter()
        waiting = self._at_rest
        for connection in waiting:
            weights[connection.caller] += weight(connection)
        if weights:
            ((heaviest, _weight),) = weights.most_common(1)
            theirs = (one for one in waiting if one.caller == heaviest and weight(one))
            self._close(min(theirs, key=lambda one: one.since))

    def _bound_memory(self, added: int) -> None:
        """Count `added` bytes. After every few MiB, close connections while too much is buffered."""
        self._added += added
        if self._added > CHECK_EACH_BYTES:
            self._added = 0
            while sum(connection.buffered for connection in self._at_rest) > BUFFERED_BYTES:
                self._shed(lambda connection: connection.buffered)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close connections past their deadline; with `force`, all. gunicorn calls this in each turn of its loop."""
        now = time.monotonic()
        if force:
            for connection in self._at_rest:
                self._close(connection)
        elif now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            for connection in self._overdue(now):
                if connection.state is State.READING and connection.reader.has_begun:
                    self._refuse(connection, RequestTimeout(), begin=connection.reader.begin)
                else:
                    self._close(connection)

    def murder_pending(self) -> None:
        """Nothing: gunicorn's list of pending connections stays empty here."""

    def _overdue(self, now: float) -> list[Connection]:
        return [connection for connection in self._at_rest if connection.deadline <= now]

    def _cap_keepalive(self, deadline: float) -> None:
        """Close idle connections while the worker stops. Requests that have begun are still answered."""
        for connection in self._at_rest:
            if connection.state is State.READING and not connection.reader.has_begun:
                connection.deadline = min(connection.deadline, deadline)
