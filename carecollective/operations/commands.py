"""The base of the operations' commands: JSON answers, errors, progress, and a clean stop."""

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

from carecollective.operations.contents import Say
from carecollective.operations.errors import OperationError
from carecollective.operations.terminal import Progress
from carecollective.postgres.errors import PostgresError


class OperationCommand(BaseCommand):
    """With --json, prints one document, also for a failure. A failure exits with 1 and a sentence on standard error."""

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

    @contextmanager
    def progress(self, options: Mapping[str, Any]) -> Iterator[Say]:
        """Show the progress of the block; yield what takes its steps."""
        progress = Progress(self.stderr if options["json"] else self.stdout)
        try:
            yield progress.say
        finally:
            progress.end()

    def answer(self, facts: Mapping[str, Any], *, ok: bool = True) -> None:
        self.stdout.write(json.dumps({"ok": ok, **facts}, indent=1))
        self.answered = True


@contextmanager
def stopped_cleanly() -> Iterator[None]:
    """Let SIGTERM and a lost terminal end the block as Ctrl-C does, so that it cleans up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        # Only once: a second signal must not interrupt the clean-up.
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        sys.exit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
