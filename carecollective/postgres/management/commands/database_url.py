from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from carecollective.postgres.dsn import ROLE_NAMES
from carecollective.settings import role_url


class Command(BaseCommand):
    help = "Print the URL with which psql, pg_dump and others connect to the database."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--role", choices=sorted(ROLE_NAMES), default="web", help="whose URL (default: web)")

    def handle(self, *args: Any, role: str, **options: Any) -> None:
        self.stdout.write(role_url(role))
