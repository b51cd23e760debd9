import json
import signal
import threading
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from carecollective.serving.readiness import announce_ready
from rollout.guard import runner
from rollout.guard.integrity import count_broken


class Command(BaseCommand):
    help = "Guard the rollout until SIGTERM or Ctrl-C; a second guard waits and takes over."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--broken", action="store_true", help="count the V2 conversations that break an invariant, and end"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["broken"]:
            self.stdout.write(json.dumps(count_broken(), indent=2))
            return
        stopping = threading.Event()

        def stop(number: int, frame: FrameType | None) -> None:
            stopping.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        announce_ready()
        runner.run(stopping)
