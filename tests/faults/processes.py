"""The site's processes, each started by itself on one of the tests' databases."""

import http.client
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings

from carecollective.serving.supervisor import HELPERS
from tests import databases
from tests.postgres.support import PROJECT
from tests.sites import Answer, ask, free_port, insert_member
from tests.waiting import wait_for


class Processes:
    """The site's processes on one of the tests' databases, each reaching it by the settings of the tests' own.

    Args:
        folder: Where each process's output goes, in a file of its name.
        settings_module: What says how the processes reach the database.
        helpers: How many workers, and how many guards, run beside the web server.
    """

    def __init__(
        self, database: str, folder: Path, *, settings_module: str, helpers: int = 1, **environment: str
    ) -> None:
        self.database, self.port, self.folder, self.helpers = database, free_port(), folder, helpers
        self.token = ""
        self.environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": settings_module,
            "TEST_DATABASE": database,
            "TEST_DATA_DIR": str(settings.DATA_DIR),
            "TEST_ROLLOUT_SNAPSHOT": "thread",
            "ROLLOUT_EVENTS": "thread",
            "WEB_CONCURRENCY": "1",
            **environment,
        }
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        self._start(
            "web", "-m", "gunicorn", "--config", "gunicorn.conf.py", "--bind", f"127.0.0.1:{self.port}", role="web"
        )
        for number in range(self.helpers):
            for name, role in HELPERS.items():
                self._start(f"{name}{number or ''}", "manage.py", name, role=role)
        wait_for(self.is_well, seconds=60)

    def end(self) -> None:
        for child in self.children.values():
            child.terminate()
        for child in self.children.values():
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def said(self, name: str) -> str:
        return (self.folder / name).read_text(errors="replace")

    def call(self, path: str, *, method: str = "GET", token: str = "", body: Any = None) -> Answer:
        """Make one call, to the API as the member whose token it is, or else as the first one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            return ask(
                connection, method, path, token=(token or self.token) if path.startswith("/api/") else "", body=body
            )
        finally:
            connection.close()

    def is_well(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return bool(self.call("/api/health").body["status"] == "ok")
        return False

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, past everything that stands between."""
        with psycopg.connect(databases.superuser_url(settings.DATA_DIR, self.database), autocommit=True) as superuser:
            cursor = superuser.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def add_member(self, name: str = "Ada") -> tuple[UUID, str]:
        """Add an approved member with a token."""
        member_id, token = insert_member(self.rows, name)
        self.token = self.token or token
        return member_id, token

    def _start(self, name: str, *arguments: str, role: str) -> None:
        with (self.folder / name).open("wb") as output:
            self.children[name] = subprocess.Popen(
                [sys.executable, "-W", "ignore", *arguments],
                cwd=PROJECT,
                env=self.environment | {"DATABASE_ROLE": role},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
