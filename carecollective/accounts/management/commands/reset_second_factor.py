from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from carecollective.accounts.sign_in.second_factor import reset_second_factor
from carecollective.core.errors import DomainError


class Command(BaseCommand):
    help = "Remove the second factors of a member who lost theirs. Make sure first, by voice, that it is they who ask."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", help="the address that the member signs in with")
        parser.add_argument("--reason", required=True, help="goes into the log of the staff site")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            member = reset_second_factor(email=options["email"], reason=options["reason"])
        except DomainError as refusal:
            raise CommandError(str(refusal.message)) from None
        self.stdout.write(f"{member.name} signs in without a second factor now, and can add a new one.")
