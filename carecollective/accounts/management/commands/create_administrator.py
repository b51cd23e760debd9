from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from carecollective.accounts.services import AdministratorExists, create_administrator
from carecollective.accounts.sign_in.passwords import make_password_link
from carecollective.core.errors import DomainError


class Command(BaseCommand):
    help = (
        "Make the first member of staff, or make a member the administrator, and print a link with which they choose a"
        " password themselves. It works once: give it to nobody else, and keep it out of logs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", help="the e-mail address to sign in with")
        parser.add_argument("--name", default="", help="the name that others see, for a new member")
        parser.add_argument("--another", action="store_true", help="although there is an administrator already")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            member = create_administrator(
                email=options["email"], name=options["name"], although_there_is_one=options["another"]
            )
        except AdministratorExists as refusal:
            raise CommandError(f"{refusal.message} If nobody of them can, add --another.") from None
        except DomainError as refusal:
            raise CommandError(str(refusal.message)) from None
        self.stdout.write(f"{member.name} ({member.email}) is an administrator.")
        if member.has_usable_password():
            self.stdout.write("They sign in with the password that they have.")
            return
        days = settings.PASSWORD_RESET_TIMEOUT // 86_400
        self.stdout.write(f"To choose a password, once and within {days} days:\n\n  {make_password_link(member)}\n")
