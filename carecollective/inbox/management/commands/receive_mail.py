import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error

from carecollective.inbox.replies.services import Received, receive_mail

BYTES_MAX = 20 * 1024 * 1024
# How a mail server's pipe understands an exit status (sysexits.h).
EX_DATAERR, EX_NOUSER, EX_TEMPFAIL, EX_CONFIG = 65, 67, 75, 78


class Command(BaseCommand):
    help = (
        "Read one mail on standard input and post it as a reply. For a mail server's pipe: 0 when it is settled, "
        "67 for an address that is nobody's, 75 to try again later."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--recipient", default="", help="the address that the mail server delivers to")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.REPLY_DOMAIN:
            self._end(EX_CONFIG, "Replies by mail are off: set REPLY_DOMAIN.")
        raw = sys.stdin.buffer.read(BYTES_MAX + 1)
        if len(raw) > BYTES_MAX:
            self._end(EX_DATAERR, "This mail is too large.")
        try:
            outcome = receive_mail(raw, recipient=options["recipient"])
        except Error:
            self._end(EX_TEMPFAIL, "The site cannot take mail right now. Please try again later.")
        if outcome is Received.UNKNOWN:
            self._end(
                EX_NOUSER,
                "This address takes answers only from the member whom we wrote to, sent from the same address.",
            )
        self.stdout.write(outcome.value)

    def _end(self, status: int, sentence: str) -> None:
        self.stderr.write(sentence)
        sys.exit(status)
