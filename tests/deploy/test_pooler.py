"""The example of PgBouncer and the database that it looks up passwords in: tried with the programs themselves."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from carecollective.postgres.dsn import build_url, connect, connection_url, derived_url, parse_url
from carecollective.postgres.embedded.binaries import bin_dir
from carecollective.postgres.errors import PostgresError
from carecollective.postgres.external_server import prepare_server
from carecollective.postgres.pooling import refuse_shared_sessions
from tests.deploy.files import DEPLOY
from tests.postgres.pgbouncer import PgBouncer, find_program
from tests.postgres.support import User, ask, is_running
from tests.waiting import wait_for

KEY = "a secret key for these tests"
PASSWORDS = {"CARE_PASSWORD": "the owner's", "PGBOUNCER_PASSWORD": "the pooler's"}


@pytest.fixture
def owner_url() -> Iterator[str]:
    """The owner's URL of the database that the example makes on a server without our roles."""
    with tempfile.TemporaryDirectory(prefix="care-") as folder:
        # The pooler's account passes through to the sockets.
        Path(folder).chmod(0o711)
        data_dir = Path(folder) / "data"
        user = User(data_dir)
        user.wait_until_up()
        for role in ("web", "ops", "guard"):
            ask(data_dir, f"ALTER ROLE carecollective_{role} RENAME TO the_embedded_servers_{role}", role="superuser")
        superuser = parse_url(connection_url(data_dir, "superuser"))
        there = {"PGHOST": superuser["host"], "PGPASSWORD": superuser["password"]}
        subprocess.run(
            ["bash", DEPLOY / "postgres" / "create-site.sh"], check=True,
            env=os.environ | PASSWORDS | there | {"PATH": f"{bin_dir()}:{os.environ['PATH']}"},
        )  # fmt: skip
        yield build_url({**superuser, "user": "care", "password": PASSWORDS["CARE_PASSWORD"], "dbname": "care"})
        user.end()
        wait_for(lambda: not is_running(data_dir), seconds=30)


def test_only_the_site_gets_through_the_example_pooler(owner_url: str, tmp_path: Path) -> None:
    program = find_program()
    if program is None:
        pytest.skip("pgbouncer is not on PATH, and apt does not give it")
    prepare_server(owner_url, secret_key=KEY)
    example = (DEPLOY / "pgbouncer" / "pgbouncer.ini").read_text()
    for theirs, ours in (
        ("host=postgres port=5432", "host={server}"),
        ("= 0.0.0.0", "= 127.0.0.1"),
        ("= 6432", "= {port}"),
        ("/etc/pgbouncer/userlist.txt", "{users}"),
    ):
        assert example.count(theirs) == 1
        example = example.replace(theirs, ours)
    with tempfile.TemporaryDirectory(prefix="care-pooler-") as folder:
        Path(folder).chmod(0o711)
        pooler = PgBouncer(
            program, Path(folder) / "pgbouncer", server=Path(parse_url(owner_url)["host"]),
            users={"pgbouncer": PASSWORDS["PGBOUNCER_PASSWORD"]}, configuration=example,
        )  # fmt: skip
        try:
            pooled = build_url({**parse_url(owner_url), "host": "127.0.0.1", "port": str(pooler.port)})
            web = derived_url(pooled, "web", KEY)
            with connect(web) as connection:
                assert connection.execute("SELECT current_user").fetchone() == ("carecollective_web",)
            with pytest.raises(PostgresError, match="DATABASE_DIRECT_URL"):
                refuse_shared_sessions(lambda: connect(web, autocommit=True))
            for role in ("owner", "ops", "guard"):
                with pytest.raises(psycopg.OperationalError):
                    connect(derived_url(pooled, role, KEY))
        finally:
            pooler.end()
