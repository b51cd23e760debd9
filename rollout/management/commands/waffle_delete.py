from typing import Any

from django.core.management.base import CommandError
from waffle.management.commands import waffle_delete

from rollout.models.flag import USE_ROLLOUT


class Command(waffle_delete.Command):
    help = "Delete samples and switches of waffle's. The rollout's flag stays."

    def handle(self, *args: Any, **options: Any) -> None:
        if options["flag_names"]:
            raise CommandError(USE_ROLLOUT)
        super().handle(*args, **options)
