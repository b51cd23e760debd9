from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from carecollective.serving.readiness import announce_ready, stop_on_signal
from carecollective.serving.worker import Worker


class Command(BaseCommand):
    help = "Run the background tasks until SIGTERM or Ctrl-C; a second worker waits and takes over."

    def handle(self, *args: Any, **options: Any) -> None:
        worker = Worker(settings.WORKER_TASKS)
        stop_on_signal(worker.stop)
        announce_ready()
        worker.run()
