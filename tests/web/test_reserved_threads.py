"""While every thread for members waits for a database that has stopped, the reserved ones answer."""

import threading
import time

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from carecollective.web import middleware
from carecollective.web.middleware import ReservedThreadsMiddleware
from carecollective.web.server_limits import REQUEST_THREADS
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def busy(monkeypatch):
    """Fill all but the reserved threads with requests that wait; `busy.release()` lets them go on."""
    monkeypatch.setattr(middleware, "STUCK_SECONDS", 0.5)
    released, inside = threading.Event(), threading.Semaphore(0)

    def answer(request):
        if request.path == "/slow":
            inside.release()
            released.wait(20)
        return HttpResponse("served")

    handle = ReservedThreadsMiddleware(answer)
    threads = [
        threading.Thread(target=handle, args=(RequestFactory().get("/slow"),)) for _number in range(REQUEST_THREADS)
    ]
    for thread in threads:
        thread.start()
    for _thread in threads:
        assert inside.acquire(timeout=10)

    class Busy:
        def ask(self, path):
            began = time.monotonic()
            answer = handle(RequestFactory().get(path))
            return answer, time.monotonic() - began

        def release(self):
            released.set()
            for thread in threads:
                thread.join(10)

    yield Busy()
    released.set()
    for thread in threads:
        thread.join(10)


def test_with_all_threads_stuck_only_monitors_are_answered(busy):
    first, _took = busy.ask("/requests")
    assert (first.status_code, first["Retry-After"]) == (503, "5")
    second, took = busy.ask("/requests")
    assert second.status_code == 503
    assert took < 0.3
    for path in ("/api/health", "/api/health/live"):
        answer, took = busy.ask(path)
        assert (answer.content, took < 0.3) == (b"served", True)


def test_a_refused_call_is_answered_in_the_envelope(busy):
    time.sleep(0.6)
    answer, _took = busy.ask("/api/help-requests")
    assert b'"database_error"' in answer.content


def test_who_comes_while_requests_still_move_waits_for_a_thread(busy):
    threading.Timer(0.1, busy.release).start()
    answer, _took = busy.ask("/requests")
    assert answer.content == b"served"


def test_the_threads_are_there_again_afterwards(busy):
    time.sleep(0.6)
    assert busy.ask("/requests")[0].status_code == 503
    busy.release()
    wait_for(lambda: busy.ask("/requests")[0].status_code == 200, seconds=5)
    for _number in range(REQUEST_THREADS + 1):
        assert busy.ask("/requests")[0].status_code == 200
