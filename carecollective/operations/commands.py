"""What the operations' commands have in common: one answer, to people or to programs, whatever happens."""

import json
import signal
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import psycopg
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from carecollective.operations.errors import OperationError
from carecollective.postgres import PostgresError


class OperationCommand(BaseCommand):
    """With --json, one document goes to standard output, of a failure too; a failure ends with 1 and a sentence beside it."""

    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="answer in JSON")

    def execute(self, *args: Any, **options: Any) -> str | None:
        self.answered = False
        try:
            with stopped_cleanly():
                return super().execute(*args, **options)
        except (CommandError, OperationError, PostgresError, DatabaseError, psycopg.Error, OSError) as problem:
            reason = str(problem).strip()
            if options["json"] and not self.answered:
                self.answer({"error": reason}, ok=False)
            if isinstance(problem, CommandError):
                raise
            raise CommandError(reason) from problem

    def answer(self, facts: Mapping[str, Any], *, ok: bool = True) -> None:
        self.stdout.write(json.dumps({"ok": ok, **facts}, indent=1))
        self.answered = True


@contextmanager
def stopped_cleanly() -> Iterator[None]:
    """Let SIGTERM and a lost terminal end the block as Ctrl-C does: what it was writing is cleaned up first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        # Once: a second one must not end the cleaning up.
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        sys.exit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
