import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import OperationalError, connections

from carecollective.postgres.embedded.server import release
from carecollective.serving.static_files import collect_static_files
from carecollective.serving.supervisor import Site, SiteError, Stopped


class Command(BaseCommand):
    help = "Prepare everything that the site needs, then serve it with its worker until Ctrl-C."
    # `migrate` comes first here, and its checks with it.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--prepare",
            action="store_true",
            help="prepare everything beside a running site, and end; `restart` uses this",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["prepare"]:
            # A release that cannot be imported must not change the database.
            self.check()
            self.prepare()
            return
        site = Site(say=self.say)
        try:
            with site.claimed():
                self.prepare()
                code = site.serve()
        except (SiteError, OperationalError) as problem:
            raise SystemExit(str(problem).strip()) from None
        except Stopped:
            code = 0
        finally:
            connections.close_all()
            if settings.LOCAL_MODE:
                release(settings.DATA_DIR)
        self.say("Stopped.")
        if code:
            raise SystemExit(code)

    def prepare(self) -> None:
        began = time.monotonic()
        call_command("prepare_database", stdout=self.stdout)
        collect_static_files(self.say)
        connections.close_all()
        self.say(f"Ready after {time.monotonic() - began:.1f} s.")

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
