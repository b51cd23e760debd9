"""The pool of threads that serve requests."""

import threading
import time
from queue import Empty
from typing import Any

import pytest

from carecollective.serving.thread_pool import LastWaiterQueue, WarmThreadPool
from tests.waiting import wait_for


def test_one_thread_serves_what_comes_one_after_the_other() -> None:
    pool = WarmThreadPool(4)
    begun = threading.Barrier(4)
    assert len({pool.submit(lambda: begun.wait(5) and threading.get_ident()) for _number in range(4)}) == 4
    wait_for(lambda: len(pool._work_queue._waiting) == 4, seconds=5)  # type: ignore[attr-defined]
    served = []
    for _number in range(20):
        served.append(pool.submit(threading.get_ident).result(5))
        wait_for(lambda: len(pool._work_queue._waiting) == 4, seconds=5)  # type: ignore[attr-defined]
    assert len(set(served)) == 1
    pool.shutdown()


def test_what_comes_at_once_is_served_at_once_and_each_thing_once() -> None:
    pool = WarmThreadPool(8)
    done: list[int] = []

    def serve(number: int) -> int:
        time.sleep(0.001)
        done.append(number)
        return number

    results = [pool.submit(serve, number) for number in range(2_000)]
    assert [result.result(30) for result in results] == list(range(2_000))
    assert sorted(done) == list(range(2_000))
    assert len(pool._threads) == 8
    pool.shutdown(wait=True)
    assert not any(thread.is_alive() for thread in pool._threads)


def test_an_error_in_one_thing_leaves_the_pool_serving() -> None:
    with WarmThreadPool(1) as pool:
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result(5)
        assert pool.submit(lambda: "still there").result(5) == "still there"


def test_what_waits_is_cancelled_when_the_pool_ends() -> None:
    pool, go_on = WarmThreadPool(1), threading.Event()
    first, waiting = pool.submit(go_on.wait, 5), pool.submit(lambda: "never")
    pool.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    go_on.set()
    assert first.result(5)


def test_the_queue_gives_the_oldest_thing_to_the_last_that_waits() -> None:
    queue, got = LastWaiterQueue(), []

    def take(name: str) -> None:
        item: Any = queue.get()
        got.append((name, item))

    with pytest.raises(Empty):
        queue.get_nowait()
    threads = []
    for number, name in enumerate(("first", "second", "third")):
        threads.append(threading.Thread(target=take, args=(name,)))
        threads[-1].start()
        wait_for(lambda number=number: len(queue._waiting) == number + 1, seconds=5)  # type: ignore[misc]
    for item in ("a", "b", "c"):
        queue.put(item)
        wait_for(lambda item=item: got and got[-1][1] == item, seconds=5)  # type: ignore[misc]
    assert got == [("third", "a"), ("second", "b"), ("first", "c")]
    for item in ("d", "e"):
        queue.put(item)
    assert [queue.get(), queue.get_nowait()] == ["d", "e"]
    for thread in threads:
        thread.join(5)
