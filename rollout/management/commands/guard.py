import json
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from carecollective.serving.readiness import announce_ready, stop_on_signal
from rollout.guard.integrity import count_broken
from rollout.guard.runner import Guard


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
        stop_on_signal(stopping.set)
        announce_ready()
        Guard().run(stopping)
