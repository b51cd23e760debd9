"""The guard and the worker as processes of their own, on the test's database."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from django.conf import settings

from tests.databases import ROOT

Process = subprocess.Popen[bytes]


SHORTER_PATIENCE = """
from django.core.management import call_command
from rollout.guard import runner
runner.STALLED_SECONDS = {seconds}
call_command("guard")
"""


@contextmanager
def running(*command: str, role: str, **environment: str) -> Iterator[Process]:
    """Run a management command in a role of its own until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "manage.py", *command],
        cwd=ROOT,
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "tests.scratch_settings",
            "DATABASE_ROLE": role,
            "TEST_DATABASE": settings.DATABASES["default"]["NAME"],
            "TEST_DATA_DIR": str(settings.DATA_DIR),
            **environment,
        },
        stdin=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def running_impatient_guard(stalled_seconds: int) -> AbstractContextManager[Process]:
    """Run a guard that cuts off another one after so many seconds without a look."""
    code = SHORTER_PATIENCE.format(seconds=stalled_seconds)
    return running("shell", "--verbosity", "0", "--command", code, role="guard")
