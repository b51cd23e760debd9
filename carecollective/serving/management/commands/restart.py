from typing import Any

from django.core.management.base import BaseCommand, CommandError

from carecollective.serving.children import Release
from carecollective.serving.restarts import ControlFiles, RestartError
from carecollective.serving.supervisor import lock_path


class Command(BaseCommand):
    help = "Change the running site to the release in this folder, without a request lost. Run it after each update."
    # The new release runs its checks in its own process.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sentence = ControlFiles(lock_path()).ask(Release.own(), say=self.stdout.write)
        except RestartError as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(sentence)
