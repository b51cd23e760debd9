from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.core.management.sql import emit_post_migrate_signal
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor

from carecollective.core import retention
from carecollective.postgres.embedded.server import ensure_running


class Command(BaseCommand):
    help = (
        "Prepare the database as each start of the site does: roles, tables, retention periods, and a check that all is as"
        " agreed. Safe to repeat, and from several hosts at once."
    )
    # `migrate` comes first here, and its checks with it.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.LOCAL_MODE:
            self.say("Starting the database …")
            ensure_running(settings.DATA_DIR)
            # Before the migrations: the sample is a legacy database, and they take over what they find.
            call_command("adopt_legacy", sample=True, stdout=self.stdout)
        else:
            call_command("create_roles", verbosity=0)
        self.migrate()
        retention.save_periods()
        # Silent when all is well; otherwise the start ends here and says what is wrong.
        call_command("verify_messaging", cheap=True, verbosity=0)

    def migrate(self) -> None:
        """Bring the tables up to date."""
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            self.say("Bringing the tables up to date …")
            call_command("migrate", interactive=False, verbosity=0)
        else:
            # The apps still store what they take from the settings, such as a new secret key.
            emit_post_migrate_signal(verbosity=0, interactive=False, db=DEFAULT_DB_ALIAS, stdout=self.stdout)

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
