"""PgBouncer in transaction mode gives each transaction any free session: what needs a session gets its own."""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

from carecollective.postgres import advisory_locks
from carecollective.postgres.dsn import ROLE_NAMES, build_url, connect, connection_url, database_settings, parse_url
from carecollective.postgres.embedded.credentials import passwords
from carecollective.postgres.embedded.layout import DataDirectory
from carecollective.postgres.errors import PostgresError
from carecollective.postgres.external_server import prepare_server
from carecollective.postgres.pooling import refuse_shared_sessions
from carecollective.serving.worker import Worker
from rollout.guard.runner import Guard
from tests import databases
from tests.faults.processes import Processes
from tests.postgres.pgbouncer import PgBouncer, configured, find_program
from tests.postgres.support import PROJECT
from tests.sites import environment_for
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ends with its parent"),
    pytest.mark.xdist_group("pooler"),
]

MANY = os.environ.get("FAULTS") == "full"
PAIRS = 6
ROUNDS = 60 if MANY else 6
POOL = 3
OFFER = "Hello, I could bring them round on Monday."
PoolerAt = Callable[..., PgBouncer]


@pytest.fixture(scope="module")
def pooler_at(template_database: str) -> Iterator[PoolerAt]:
    """Start a PgBouncer in front of the tests' server: `pooler_at(mode="session")`."""
    program = find_program()
    if program is None:
        pytest.skip("pgbouncer is not on PATH, and apt does not give it")
    known = passwords(settings.DATA_DIR)
    with tempfile.TemporaryDirectory(prefix="care-pooler-") as folder, ExitStack() as stack:
        Path(folder).chmod(0o711)

        def start(**options: Any) -> PgBouncer:
            pooler = PgBouncer(
                program, Path(folder) / uuid4().hex, server=DataDirectory(settings.DATA_DIR).sockets,
                users={name: known[role] for role, name in ROLE_NAMES.items()},
                configuration=configured(**options),
            )  # fmt: skip
            stack.callback(pooler.end)
            return pooler

        yield start


@pytest.fixture(scope="module")
def pooler(pooler_at: PoolerAt) -> PgBouncer:
    return pooler_at(pool_size=POOL)


@pytest.fixture(scope="module")
def site(template_database: str, pooler: PgBouncer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Two web processes, two workers and two guards, of which the web and the workers are pooled."""
    name = f"test_{os.getpid()}_pooled"
    databases.recreate(settings.DATA_DIR, name, template_database)
    site = Processes(
        name, tmp_path_factory.mktemp("pooled"), settings_module="tests.postgres.pooled_settings", helpers=2,
        TEST_POOLER_PORT=str(pooler.port), WEB_CONCURRENCY="2",
        MESSAGES_PER_MINUTE="100000", TEST_MESSAGES_PER_MINUTE="100000",
    )  # fmt: skip
    try:
        site.add_member()
        site.start()
        yield site
    finally:
        site.end()
        databases.drop(settings.DATA_DIR, name)


def url_of(database: str, port: int, role: str = "web") -> str:
    direct = parse_url(connection_url(settings.DATA_DIR, role, database))
    return build_url({**direct, "host": "127.0.0.1", "port": str(port)})


def leaders(site: Processes) -> dict[int, int]:
    """Count the sessions that hold each leader's lock."""
    rows = site.rows(
        "SELECT objid::int, count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = ANY (%s::oid[])"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) GROUP BY objid",
        [advisory_locks.WORKER, advisory_locks.GUARD],
    )
    return dict(rows)


def leading(site: Processes) -> dict[str, int]:
    """Count the processes that say that they lead."""
    words = {"worker": "The worker has taken up its work", "guard": "The guard watches the rollout"}
    return {
        kind: sum(said in site.said(name) for name in site.children if name.startswith(kind))
        for kind, said in words.items()
    }


def start_conversation(site: Processes, helper_token: str, owner_id: UUID) -> dict[str, Any]:
    ((request_id,),) = site.rows(
        "INSERT INTO help_requests (user_id, title, category, urgency, status)"
        " VALUES (%s, 'A hand', 'other', 'normal', 'open') RETURNING id",
        owner_id,
    )
    answer = site.call(
        f"/api/messaging/help-requests/{request_id}/start-conversation",
        method="POST", token=helper_token, body={"initial_message": OFFER},
    )  # fmt: skip
    assert answer.status == 201, answer
    started: dict[str, Any] = answer.body
    return started


def test_one_leads_nobody_sees_anothers_and_a_rollback_reaches_all(
    site: Processes, pooler: PgBouncer, figure: Callable[..., None]
) -> None:
    wait_for(lambda: leading(site)["worker"] and leading(site)["guard"], seconds=20)
    site.rows("UPDATE rollout_flag SET stage = 'enabled', v1_writes = true WHERE name = 'messaging_v2'")
    wait_for(lambda: versions_known(site) == {newest_version(site)}, seconds=20)
    pairs = [(site.add_member("Olga"), site.add_member("Henry")) for _ in range(PAIRS)]
    conversations = []
    for owner, helper in pairs:
        started = start_conversation(site, helper[1], owner[0])
        assert started["version"] == "v2"
        conversations.append(started["conversation_id"])

    def talk(place: int) -> tuple[int, int, list[Any]]:
        """Speak and read as both members in turn, and try what belongs to the next pair; return what went wrong, too."""
        mine, others = conversations[place], conversations[(place + 1) % PAIRS]
        sent, refused, wrong = 0, 0, list[Any]()
        for number in range(ROUNDS):
            for _member_id, token in pairs[place]:
                path = f"/api/messaging/conversations/{mine}"
                said = site.call(f"{path}/messages", method="POST", token=token, body={"content": f"{mine} {number}"})
                sent += said.status == 201
                read = site.call(f"{path}/messages", token=token)
                listed = site.call("/api/messaging/conversations", token=token)
                foreign = site.call(f"/api/messaging/conversations/{others}", token=token)
                refused += foreign.status == 404
                if (said.status, read.status, listed.status, foreign.status) != (201, 200, 200, 404):
                    wrong.append((said, read, listed, foreign))
                elif {one["id"] for one in listed.body["results"]} != {mine}:
                    wrong.append(listed)
                elif not all(one["content"].startswith(mine) for one in read.body["messages"]):
                    wrong.append(read)
        return sent, refused, wrong

    counted: list[dict[int, int]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            counted.append(leaders(site))

    watch = threading.Thread(target=look)
    watch.start()
    began = time.monotonic()
    with ThreadPoolExecutor(PAIRS) as pool:
        talks = list(pool.map(talk, range(PAIRS)))
    seconds = time.monotonic() - began
    over.set()
    watch.join()
    assert [wrong for *_, wrong in talks if wrong] == []
    sent = sum(one[0] for one in talks)
    assert (sent, sum(one[1] for one in talks)) == (PAIRS * ROUNDS * 2, PAIRS * ROUNDS * 2)
    assert site.rows("SELECT count(*)::int FROM messages_v2") == [(sent,)]
    figure("messages sent by twelve members at once", sent)
    figure("in", seconds, "s")
    figure("another pair's conversation asked for and refused", sum(one[1] for one in talks))

    assert counted
    assert all(count == {advisory_locks.WORKER: 1, advisory_locks.GUARD: 1} for count in counted)
    assert leading(site) == {"worker": 1, "guard": 1}
    figure("leaders of two workers, and of two guards", f"1 and 1, at each of {len(counted)} looks")

    sessions = pooled_sessions(site, pooler)
    figure("database sessions that served them", len(sessions))
    assert len(sessions) <= POOL
    # What the threads beside the requests set for themselves stays with them.
    assert {(limit, member) for _pid, limit, member in sessions} == {("2s", "")}

    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", "rollout", "rollback", "--reason", "Trying it behind a pooler."],
        cwd=PROJECT, env=site.environment | {"DATABASE_ROLE": "guard"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "All servers have switched" in done.stdout, done.stdout
    figure("every process switched by the end of the rollback, a command that took", time.monotonic() - began, "s")
    at, switched = site.rows("SELECT (SELECT max(at) FROM rollout_rollback), max(switched_at) FROM rollout_process")[0]
    figure("the last process after the rollback", (switched - at).total_seconds(), "s")
    assert start_conversation(site, pairs[0][1][1], pairs[1][0][0])["version"] == "v1"
    assert site.call("/api/health").body["status"] == "ok"
    assert leading(site) == {"worker": 1, "guard": 1}
    assert [name for name in site.children if re.search("prepared statement|Traceback", site.said(name))] == []


def versions_known(site: Processes) -> set[int]:
    return {version for (version,) in site.rows("SELECT flag_version FROM rollout_process")}


def newest_version(site: Processes) -> int:
    ((version,),) = site.rows("SELECT version FROM rollout_state")
    return int(version)


def pooled_sessions(site: Processes, pooler: PgBouncer) -> set[tuple[int, str, str]]:
    """Visit the pooler's sessions; return each one's number, lock time-out and member."""
    seen = set()
    look = (
        "SELECT pg_backend_pid(), current_setting('lock_timeout'), coalesce(current_setting('app.user_id', true), '')"
    )
    with ExitStack() as stack:
        for _ in range(POOL):
            # Held within their transactions, no two of them share one.
            visitor = stack.enter_context(connect(url_of(site.database, pooler.port)))
            row = visitor.execute(look).fetchone()
            assert row is not None
            seen.add(row)
    return seen


def test_transactions_that_share_sessions_inherit_no_member(site: Processes, pooler: PgBouncer) -> None:
    url, mine = url_of(site.database, pooler.port), [str(uuid4()) for _ in range(8)]
    set_member = "SELECT set_config('app.user_id', %s, true), pg_backend_pid()"
    look = "SELECT coalesce(current_setting('app.user_id', true), '')"

    def act(member: str) -> tuple[set[int], list[Any]]:
        pids, wrong = set(), []
        with connect(url, autocommit=True, prepare_threshold=None) as session:
            for _ in range(50):
                before = session.execute(look).fetchone()
                with session.transaction():
                    row = session.execute(set_member, [member]).fetchone()
                    within = session.execute(look).fetchone()
                pids.add(row[1] if row else 0)
                if before != ("",) or within != (member,):
                    wrong.append((before, within))
        return pids, wrong

    with ThreadPoolExecutor(len(mine)) as pool:
        acts = list(pool.map(act, mine))
    assert [wrong for _pids, wrong in acts if wrong] == []
    assert len(set().union(*(pids for pids, _wrong in acts))) <= POOL


@pytest.mark.parametrize("round_robin", [False, True])
@pytest.mark.parametrize("pool_size", [1, 2, 5])
def test_shared_sessions_are_found_whether_or_not_somebody_uses_them(
    pooler_at: PoolerAt, pool_size: int, round_robin: bool
) -> None:
    url = url_of("postgres", pooler_at(pool_size=pool_size, round_robin=round_robin).port)

    def refusal() -> str:
        with pytest.raises(PostgresError) as refused:
            refuse_shared_sessions(lambda: connect(url, autocommit=True))
        return str(refused.value)

    assert "DATABASE_DIRECT_URL" in refusal()
    over = threading.Event()

    def use() -> None:
        with connect(url, autocommit=True) as session:
            while not over.is_set():
                session.execute("SELECT 1")

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(use)
        try:
            said = {refusal() for _ in range(3)}
        finally:
            over.set()
    assert len(said) == 1
    assert said.pop().count("\n") == 0


def test_sessions_of_ones_own_are_taken(pooler_at: PoolerAt) -> None:
    refuse_shared_sessions(lambda: connect(databases.superuser_url(settings.DATA_DIR), autocommit=True))
    url = url_of("postgres", pooler_at(mode="session").port)
    refuse_shared_sessions(lambda: connect(url, autocommit=True))


def test_nothing_is_prepared_through_a_shared_session(pooler: PgBouncer) -> None:
    with pytest.raises(PostgresError, match="DATABASE_DIRECT_URL"):
        prepare_server(url_of("postgres", pooler.port, "owner"), secret_key="none")


@pytest.mark.parametrize("leader", [Worker(()).tick, Guard().tick], ids=["worker", "guard"])
def test_nobody_leads_through_a_shared_session(
    pooler: PgBouncer, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any, leader: Callable[[], object]
) -> None:
    through = database_settings(url_of("postgres", pooler.port))
    here = connections[DEFAULT_DB_ALIAS]
    monkeypatch.setattr(here, "settings_dict", here.settings_dict | through)
    with django_db_blocker.unblock():
        here.close()
        with pytest.raises(PostgresError, match="DATABASE_DIRECT_URL"):
            leader()
        here.close()


def test_a_process_refuses_a_shared_session_in_one_sentence(site: Processes, pooler: PgBouncer, tmp_path: Path) -> None:
    operators = environment_for(
        tmp_path,
        DATABASE_URL=url_of(site.database, pooler.port, "owner"),
        DJANGO_SECRET_KEY="long enough and random enough for a test " * 2,
    )
    # The pooler stands where PostgreSQL itself should, too.
    pooled = site.environment | {"TEST_DIRECT_PORT": str(pooler.port)}

    def run(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *arguments], cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout.strip()

    ended = [run(operators, "manage.py", "serve")]
    if MANY:
        ended.append(run(pooled | {"DATABASE_ROLE": "web"}, "manage.py", "worker"))
        ended.append(run(pooled | {"DATABASE_ROLE": "guard"}, "manage.py", "guard"))
        ended.append(run(pooled | {"DATABASE_ROLE": "web"}, "-c", "import carecollective.wsgi"))
    for code, said in ended:
        assert code in (1, 4), said
        assert said.count("\n") == 0, said
        assert said.endswith("set DATABASE_DIRECT_URL to the URL of PostgreSQL itself."), said
