from argparse import ArgumentParser
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from carecollective.postgres.dsn import ROLE_NAMES, SERVICE_ROLES, why_unreachable
from carecollective.postgres.embedded.server import ensure_running
from carecollective.postgres.external_server import prepare_server


class Command(BaseCommand):
    help = "Create the database roles, or bring them to what they must be. Safe to repeat."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--take-over",
            action="store_true",
            help="take the roles for this site and its DJANGO_SECRET_KEY, from any site: after a change of the key, or when"
            " the other site is gone",
        )

    def handle(self, *args: Any, take_over: bool = False, **options: Any) -> None:
        advice = ""
        if settings.LOCAL_MODE:
            ensure_running(settings.DATA_DIR)
        else:
            try:
                url = settings.DATABASE_DIRECT_URL or settings.DATABASE_URL
                advice = prepare_server(url, secret_key=settings.SECRET_KEY, take_over=take_over)
            except psycopg.OperationalError as problem:
                name = "DATABASE_DIRECT_URL" if settings.DATABASE_DIRECT_URL else "DATABASE_URL"
                raise CommandError(
                    f"The database behind {name} cannot be reached: {why_unreachable(problem)}"
                ) from None
        if options["verbosity"]:
            self.stdout.write(f"Roles are in place: {', '.join(ROLE_NAMES[role] for role in SERVICE_ROLES)}.")
            if advice:
                self.stdout.write(
                    "The site's role may store large objects, which it does not need and policies do not hold."
                    f" Only an administrator of the server can revoke that, in this database:\n    {advice};"
                )
