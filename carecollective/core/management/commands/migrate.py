from typing import Any

from django.core.management.commands import migrate

from carecollective.core.migration_lock import migrating_alone


class Command(migrate.Command):
    """Django's `migrate`, which waits while another process migrates the same database."""

    def handle(self, *args: Any, **options: Any) -> None:
        with migrating_alone(options["database"], say=self.stdout.write):
            super().handle(*args, **options)
