import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.core.management.sql import emit_post_migrate_signal
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.migrations.executor import MigrationExecutor

from carecollective import postgres
from carecollective.core import retention
from carecollective.core.site import Site, StartError, StaticFiles, Stopped


class Command(BaseCommand):
    help = "Prepare everything that the site needs, then serve it with its worker until Ctrl-C."
    # `migrate` comes first here, and its checks with it.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--prepare",
            action="store_true",
            help="prepare everything beside a site that runs, and end (`restart` does)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["prepare"]:
            # What cannot even be imported shall change no table.
            self.check()
            self.prepare()
            return
        site = Site(say=self.say)
        try:
            with site.claimed():
                self.prepare()
                code = site.serve()
        except (StartError, OperationalError) as problem:
            raise SystemExit(str(problem).strip()) from None
        except Stopped:
            code = 0
        finally:
            connections.close_all()
            if settings.LOCAL_MODE:
                postgres.leave(settings.DATA_DIR)
        self.say("Stopped.")
        if code:
            raise SystemExit(code)

    def prepare(self) -> None:
        began = time.monotonic()
        if settings.LOCAL_MODE:
            self.say("Starting the database …")
            postgres.ensure_running(settings.DATA_DIR)
        else:
            call_command("create_roles", verbosity=0)
        if settings.LOCAL_MODE:
            # Before the migrations: the sample is a legacy database, and they take over what they find.
            call_command("adopt_legacy", sample=True, stdout=self.stdout)
        self.migrate()
        retention.save_periods()
        # Silent when all is well; otherwise the start ends here, with what was expected and what was found.
        call_command("verify_messaging", cheap=True, verbosity=0)
        static_files = StaticFiles(settings.STATIC_ROOT)
        fingerprint = static_files.fingerprint(get_finders())
        if not static_files.are_current(fingerprint):
            self.say("Collecting the static files …")
            call_command("collectstatic", interactive=False, verbosity=0)
            static_files.mark_current(fingerprint)
        connections.close_all()
        self.say(f"Ready after {time.monotonic() - began:.1f} s.")

    def migrate(self) -> None:
        """Bring the tables up to date."""
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            self.say("Bringing the tables up to date …")
            call_command("migrate", interactive=False, verbosity=0)
        else:
            # What the apps take from the settings, such as a new secret key, is brought in all the same.
            emit_post_migrate_signal(verbosity=0, interactive=False, db=DEFAULT_DB_ALIAS, stdout=self.stdout)

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
