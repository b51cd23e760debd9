"""What one worker of the site needs: memory over many requests, and time for a decision of the rollout."""

import json
import math
import threading
import time
from collections.abc import Mapping
from functools import partial

import psutil

from benchmarks import operations
from benchmarks.operations import Client
from benchmarks.seed import PASSWORD, Size, email, run_python
from benchmarks.servers import Server
from benchmarks.throughput import at_once

READERS = 4
SIGN_INS = 16
STAGES = ("disabled", "internal", "percentage:10", "percentage:50", "enabled")
# Run as a program of its own: it needs Django's settings.
DECIDE = """
import json, statistics, sys, time
import django
django.setup()
from dataclasses import replace
from django.db import connection
from carecollective.accounts.models import User
from rollout.stages import Stage
from rollout.targeting import snapshot
from rollout.targeting.cohort import decision_for

BATCHES, DECISIONS = 5, 2_000
asked = []

def note(execute, *given):
    asked.append(given[0])
    return execute(*given)

member = User.objects.filter(email="member-1@bench.example").get()
now = snapshot.read_now()
found = {}
for name in sys.argv[1:]:
    state = replace(now, stage=Stage.parse(name))
    decision_for(member, state)
    highest = []
    asked.clear()
    with connection.execute_wrapper(note):
        for _batch in range(BATCHES):
            times = []
            for _number in range(DECISIONS):
                before = time.perf_counter_ns()
                decision_for(member, state)
                times.append(time.perf_counter_ns() - before)
            highest.append(sorted(times)[DECISIONS * 99 // 100])
    found[name] = [statistics.median(highest) / 1000, len(asked) / DECISIONS / BATCHES]
print(json.dumps(found))
"""


def measure_decision(size: Size) -> dict[str, tuple[float, float]]:
    """Return for each stage the p99 of a warm decision in microseconds, and how many statements one runs.

    It is the median p99 of five batches: whatever else the machine does meanwhile falls into one or two of them.
    """
    output = run_python("-c", DECIDE, *STAGES, database=size.database)
    found: dict[str, tuple[float, float]] = json.loads(output.splitlines()[-1])
    return found


def measure_memory(server: Server, size: Size, early: int, late: int, *, seconds: float) -> Mapping[str, float]:
    """Return the memory of a worker after `late` requests, as a ratio to that after `early`.

    On a slow machine it is after as many as `seconds` allow: the name of the figure tells how many.
    """
    worker = _worker(server)
    readers = [Client(server, size) for _number in range(READERS)]
    figures = []
    for requests, limit in ((early, math.inf), (late - early, time.monotonic() + seconds)):
        at_once([partial(_read, reader, requests // READERS, until=limit) for reader in readers])
        time.sleep(1)
        figures.append(worker.memory_info().rss)
    done = sum(reader.turn for reader in readers)
    return {f"{done:,} requests against {early:,}": figures[1] / figures[0]}


def measure_sign_ins(server: Server, size: Size, *, rounds: int) -> float:
    """Return the most memory of a worker while members sign in at once, as a ratio to that before. Some may be told to wait."""
    worker = _worker(server)
    before = most = worker.memory_info().rss
    is_over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not is_over.is_set():
            most = max(most, worker.memory_info().rss)
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _number in range(rounds):
            at_once([partial(_sign_in, Client(server, size), number) for number in range(SIGN_INS)])
    finally:
        is_over.set()
        watcher.join()
    return float(most / before)


def _worker(server: Server) -> psutil.Process:
    (worker,) = psutil.Process(server.pid).children()
    return worker


def _read(client: Client, requests: int, *, until: float = math.inf) -> None:
    client.connection.close()
    for number in range(requests):
        if time.monotonic() > until:
            return
        operation = ("inbox", "thread", "poll")[number % 3]
        operations.expect(operation, client.run(operation)[0])


def _sign_in(client: Client, member: int) -> None:
    given = {"email": email(member), "password": PASSWORD}
    status, _body = client.ask("POST", "/api/auth/token", member, given)
    if status not in (200, 429):
        raise operations.WrongAnswer(f"Signing in was answered with {status}.")
