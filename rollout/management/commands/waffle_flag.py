from typing import Any

from django.core.management.base import CommandError
from waffle.management.commands import waffle_flag

from rollout.models.flag import USE_ROLLOUT


class Command(waffle_flag.Command):
    help = "List the flags. The rollout's own flag is moved by `manage.py rollout` alone."

    def handle(self, *args: Any, **options: Any) -> None:
        # waffle would report success, and nothing reads what it writes.
        if not options["list_flags"]:
            raise CommandError(USE_ROLLOUT)
        super().handle(*args, **options)
