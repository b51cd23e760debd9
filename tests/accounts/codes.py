"""The code in the newest mail, as a member reads it."""

import re

from django.core import mail

from carecollective.mail.delivery import send_waiting


def code_in_mail() -> str:
    """Send what waits, and return the code in the last mail."""
    send_waiting()
    (code,) = re.findall(r"\b[A-Z]{4}-[A-Z]{4}\b", str(mail.outbox[-1].body))
    return str(code)
