"""What one worker of the site needs: memory over many requests, and time for a decision of the rollout."""

import json
import os
import subprocess
import sys
import time

import psutil

from benchmarks import operations, servers
from benchmarks.operations import Client
from benchmarks.seed import DATA_DIR, PROJECT, Size

STAGES = ("disabled", "internal", "percentage:10", "percentage:50", "enabled")
# Run as a program of its own: it needs Django's settings.
DECIDE = """
import json, sys, time
import django
django.setup()
from dataclasses import replace
from django.db import connection
from carecollective.accounts.models import User
from rollout.stages import Stage
from rollout.targeting import snapshot
from rollout.targeting.cohort import decision_for

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
    times = []
    asked.clear()
    with connection.execute_wrapper(note):
        for _number in range(2_000):
            before = time.perf_counter_ns()
            decision_for(member, state)
            times.append(time.perf_counter_ns() - before)
    found[name] = [sorted(times)[len(times) * 99 // 100] / 1000, len(asked) / len(times)]
print(json.dumps(found))
"""


def measure_decision(size: Size) -> dict[str, tuple[float, float]]:
    """Return for each stage the p99 of a warm decision in microseconds, and how many statements one runs."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "BENCH_DATABASE": size.database,
        "DATA_DIR": str(DATA_DIR),
        "DATABASE_URL": "",
        "DATABASE_ROLE": "web",
        "PYTHONPATH": str(PROJECT),
    }
    run = [sys.executable, "-c", DECIDE, *STAGES]
    output = subprocess.run(run, cwd=PROJECT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, tuple[float, float]] = json.loads(output.stdout.splitlines()[-1])
    return found


def measure_memory(size: Size, *, early: int, late: int) -> float:
    """Return the memory of a worker after `late` requests, as a ratio to that after `early`."""
    with servers.running(servers.OURS, size.database) as server:
        client = Client(server, size)
        (worker,) = psutil.Process(server.pid).children()
        figures = []
        for requests in (early, late - early):
            for number in range(requests):
                operation = ("inbox", "thread", "poll")[number % 3]
                operations.expect(operation, client.run(operation)[0])
            time.sleep(1)
            figures.append(worker.memory_info().rss)
    return float(figures[1] / figures[0])
