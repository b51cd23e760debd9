"""Many clients at once on two workers: how much they get done, how long each waits, and what one hot request costs."""

import re
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import seed, servers
from benchmarks.operations import WORDS, WRITING, Client, expect
from benchmarks.peers import site_statements as sql
from benchmarks.peers.site_statements import filled
from benchmarks.seed import DATA_DIR, Size, key
from benchmarks.servers import FLOOR, OURS, Server
from carecollective.postgres.dsn import connection_url
from carecollective.postgres.embedded.binaries import bin_dir

CLIENTS, WORKERS, HELPERS = 16, 2, 50
WAIT_SECONDS = 120


@dataclass(slots=True)
class Load:
    """What many clients at once were answered: for each request the seconds it took, and how many were refused."""

    times: list[float] = field(default_factory=list)
    refused: int = 0
    throughput: list[float] = field(default_factory=list)

    @property
    def answered(self) -> float:
        return 1 - self.refused / len(self.times)

    @property
    def p95_milliseconds(self) -> float:
        return sorted(self.times)[len(self.times) * 95 // 100] * 1000


def measure_load(size: Size, *, rounds: int, requests: int) -> Mapping[str, Mapping[str, float]]:
    """Return for start and send: the share answered, the p95, and the throughput beside that of pgbench."""
    loads = {operation: Load() for operation in WRITING}
    pgbench: dict[str, list[float]] = {operation: [] for operation in WRITING}
    with servers.running(OURS, size.database, workers=WORKERS) as server:
        clients = [Client(server, size) for _number in range(CLIENTS)]
        for operation in WRITING:  # warms up and counts for nothing
            seed.clear_writes(size.database)
            _run(clients, operation, CLIENTS * 5, Load())
        for _number in range(rounds):
            for operation, load in loads.items():
                seed.clear_writes(size.database)
                _run(clients, operation, requests, load)
                seed.clear_writes(size.database)
                pgbench[operation].append(_run_pgbench(size, operation, requests))
    return {
        f"{requests:,} of {operation} by {CLIENTS} clients, {WORKERS} workers": {
            "answered": load.answered,
            "p95 in milliseconds": load.p95_milliseconds,
            "a second": statistics.median(load.throughput),
            "a second by pgbench": statistics.median(pgbench[operation]),
        }
        for operation, load in loads.items()
    }


def measure_hot(size: Size, *, rounds: int) -> Mapping[str, float]:
    """Return how fast fifty helpers at once start about one request, as a share of how fast each about their own.

    Of the site and of the floor, in turns: the median of the rounds' shares.
    """
    shares: dict[str, list[float]] = {}
    with ExitStack() as stack:
        serving = [stack.enter_context(servers.running(peer, size.database, workers=WORKERS)) for peer in (OURS, FLOOR)]
        for number in range(rounds + 1):
            for server in serving:
                hot, spread = (_start_at_once(server, size, number, is_hot=is_hot) for is_hot in (True, False))
                if number:
                    shares.setdefault(server.peer.name, []).append(spread / hot)
    return {name: statistics.median(found) for name, found in shares.items()}


def at_once(jobs: Sequence[Callable[[], Any]]) -> float:
    """Run each job in a thread of its own, all from one moment on; return the seconds until the last was done."""
    ready = threading.Barrier(len(jobs) + 1)
    failures: list[BaseException] = []

    def work(job: Callable[[], Any]) -> None:
        ready.wait(WAIT_SECONDS)
        try:
            job()
        except BaseException as error:  # noqa: BLE001 -- raised again below
            failures.append(error)

    threads = [threading.Thread(target=work, args=[job], daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    ready.wait(WAIT_SECONDS)
    begun = time.perf_counter()
    for thread in threads:
        thread.join()  # the clients have a time limit of their own
    needed = time.perf_counter() - begun
    if failures:
        raise failures[0]
    return needed


def _run(clients: Sequence[Client], operation: str, requests: int, load: Load) -> None:
    """Let the clients share a number of requests, each waiting for an answer before its next."""
    turns = count()  # `next` on it is safe among threads

    def work(client: Client) -> None:
        client.connection.close()
        for client.turn in iter(lambda: next(turns), None):
            if client.turn >= requests:
                return
            begun = time.perf_counter()
            try:
                status, _body = client.run(operation)
            except (OSError, HTTPException):
                status = 0
                client.connection.close()
            load.times.append(time.perf_counter() - begun)
            load.refused += status != 201

    seconds = at_once([partial(work, client) for client in clients])
    load.throughput.append(requests / seconds)


def _start_at_once(server: Server, size: Size, number: int, *, is_hot: bool) -> float:
    seed.clear_writes(size.database)
    first = number * (HELPERS + 1)
    clients = [Client(server, size) for _number in range(HELPERS)]

    def start(helper: int) -> None:
        path = f"/api/messaging/help-requests/{key('fresh', first + (0 if is_hot else helper + 1))}/start-conversation"
        expect("start", clients[helper].ask("POST", path, helper, {"initial_message": WORDS})[0])

    for client in clients:
        client.connection.connect()
    return at_once([partial(start, helper) for helper in range(HELPERS)])


def _run_pgbench(size: Size, operation: str, requests: int) -> float:
    """Run the site's statements by pgbench with as many clients; return transactions a second.

    There are more transactions than requests: each client's first ones prepare the statements.
    """
    program = bin_dir() / "pgbench"
    if not program.exists():
        raise SystemExit(f"pgbench is missing beside PostgreSQL's other programs, in {bin_dir()}.")
    with TemporaryDirectory(prefix="bench-") as folder:
        script = Path(folder) / f"{operation}.sql"
        script.write_text("\n".join(_script(size, operation)))
        command = [str(program), "--no-vacuum", "--protocol=prepared", f"--file={script}", "--define=turn=0"]
        command += [f"--client={CLIENTS}", f"--jobs={WORKERS}", f"--transactions={max(4 * requests // CLIENTS, 100)}"]
        command.append(connection_url(DATA_DIR, "web", size.database))
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    reported = re.search(r"tps = ([\d.]+) \(without", run.stdout)
    if run.returncode or not reported:
        raise SystemExit(f"pgbench failed at {operation}:\n{run.stderr[-2000:]}")
    return float(reported[1])


def _script(size: Size, operation: str) -> Iterator[str]:
    """Yield the lines of a transaction: the site's statements, with what it fetches kept in variables."""
    helper = "md5('member:' || :helper::text)::uuid"
    digest = (
        "encode(sha512(convert_to(md5('token:' || :helper::text) || md5('secret:' || :helper::text), 'UTF8')), 'hex')"
    )
    yield r"\set turn :turn + 1"
    if operation == "start":
        yield rf"\set number :client_id * {seed.FRESH_REQUESTS // CLIENTS} + :turn"
    else:
        yield rf"\set number random(0, {size.conversations - 1})"
    yield rf"\set helper :number % {size.members}"
    yield filled(sql.FIND_TOKEN, (digest,)) + ";"
    yield "BEGIN;"
    yield filled(sql.ACT, (f"{helper}::text",)) + ";"
    if operation == "start":
        yield from _started(helper)
    else:
        yield from _sent(helper)
    yield "COMMIT;"


def _started(helper: str) -> Iterator[str]:
    request, owner = "md5('fresh:' || :number::text)::uuid", ":user_id::uuid"
    conversation = "md5('started:' || :number::text)::uuid"
    yield sql.ENTER + ";"
    yield sql.STAGE + ";"
    yield filled(sql.LOCK_REQUEST, {"help_request": request}) + r" \gset"
    yield filled(sql.PAIR, {"help_request": request, "helper": helper}) + ";"
    opened = {"help_request": request, "requester": owner, "helper": helper, "initial_message": f"'{WORDS}'"}
    yield filled(sql.OPEN_AND_NOTE, opened | _noted(sql.OFFER, helper, owner, conversation)) + ";"


def _sent(helper: str) -> Iterator[str]:
    conversation, other = "md5('conversation:' || :number::text)::uuid", ":requester_id::uuid"
    yield filled(sql.LOCK_AND_STANDING, {"conversation": conversation, "member": helper}) + r" \gset"
    new = {"id": "gen_random_uuid()", "sender": helper, "content": f"'{WORDS}'"}
    yield filled(sql.SEND_AND_NOTE, new | _noted(sql.MESSAGE, helper, other, conversation)) + ";"


def _noted(use: sql.Use, member: str, recipient: str, conversation: str) -> dict[str, str]:
    used = {"who": f"{member}::text", "what": f"'{use.action}'", "times": "1000", "span": f"'{use.span}'"}
    note = {"note": "gen_random_uuid()", "recipient": recipient, "conversation": conversation, "version": "'v2'"}
    return {**used, **note, "of_client": "false", "kind": f"'{use.kind}'"}
