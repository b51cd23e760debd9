"""Why a mail did not go out: for ever or for now, in words without addresses."""

import smtplib
from dataclasses import dataclass

from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed try. `is_of_server` ends the round: the next mail would fail in the same way."""

    reason: str
    is_permanent: bool = False
    is_of_server: bool = False


def failure_to_connect(problem: Exception) -> Failure:
    """Describe why the mail server could not be used at all. Never permanent: it says nothing about the mail."""
    code = getattr(problem, "smtp_code", None)
    if isinstance(problem, smtplib.SMTPAuthenticationError):
        return Failure(_("The mail server refused our user or password (%s).") % code, is_of_server=True)
    return Failure(_("The mail server could not be reached (%s).") % _name(problem), is_of_server=True)


def failure_to_send(problem: Exception) -> Failure:
    """Describe why the mail server, once connected, did not take a mail. 5xx is for ever, everything else for now."""
    match problem:
        case smtplib.SMTPRecipientsRefused():
            code = max(code for code, _answer in problem.recipients.values())
            return _refused(_("The mail server refused the address (%s)."), code)
        case smtplib.SMTPSenderRefused():
            return _refused(_("The mail server refused our address as the sender (%s)."), problem.smtp_code)
        case smtplib.SMTPResponseException():
            return _refused(_("The mail server refused the mail (%s)."), problem.smtp_code)
        case smtplib.SMTPNotSupportedError():
            return Failure(_("The mail server cannot write to this address."), is_permanent=True)
        case OSError():
            return Failure(_("The mail server did not answer (%s).") % _name(problem), is_of_server=True)
        case ValueError():
            return Failure(_("The address is not one that mail can go to."), is_permanent=True)
    return failure_to_compose(problem)


def failure_to_compose(problem: Exception) -> Failure:
    """Describe a mistake in our own code. The next release may have it right."""
    return Failure(_("A fault on our side (%s).") % _name(problem))


def _refused(sentence: str, code: int) -> Failure:
    # 421: the server is about to close the connection.
    return Failure(sentence % code, is_permanent=code >= 500, is_of_server=code == 421)


def _name(problem: Exception) -> str:
    return type(problem).__name__
