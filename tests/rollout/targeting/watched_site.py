"""The site as gunicorn loads it, with an observer in each worker that writes down when it sees the rollout change."""

import json
import os
import threading
import time
from pathlib import Path

from django.conf import settings

# The settings of the tests, on the database of the test that started this.
settings.DATABASES["default"] |= json.loads(os.environ["WATCHED_DATABASE"])

from carecollective.wsgi import application  # noqa: E402
from rollout.targeting import snapshot  # noqa: E402

__all__ = ["application"]

settings.ROLLOUT_SNAPSHOT = "thread"


def observe() -> None:
    with Path(os.environ["WATCHED_LOG"]).open("a", buffering=1) as log:
        seen = -1
        while True:
            state = snapshot.current()
            if state.version != seen:
                seen = state.version
                # One short line in append mode: whole, whoever else writes. The clock is the machine's.
                log.write(f"{os.getpid()} {state.version} {state.stage} {time.monotonic()}\n")
            time.sleep(0.002)


threading.Thread(target=observe, daemon=True).start()
