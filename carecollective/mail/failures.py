"""Why a mail was not sent, permanently or temporarily. The sentences hold no addresses."""

import smtplib

from django.utils.translation import gettext as _


class NotSent(Exception):
    """A failed try. `ends_round` where the next mail would fail in the same way."""

    def __init__(self, reason: str, *, is_permanent: bool = False, ends_round: bool = False) -> None:
        super().__init__(reason)
        self.is_permanent, self.ends_round = is_permanent, ends_round


def failure_to_connect(problem: Exception) -> NotSent:
    """Describe why the mail server could not be used at all. Always temporary: the mail is not the cause."""
    code = getattr(problem, "smtp_code", None)
    if isinstance(problem, smtplib.SMTPAuthenticationError):
        return NotSent(_("The mail server refused our user or password (%s).") % code, ends_round=True)
    return NotSent(_("The mail server could not be reached (%s).") % _name(problem), ends_round=True)


def failure_to_send(problem: Exception) -> NotSent:
    """Describe why the connected mail server did not take a mail. Only 5xx and bad addresses are permanent."""
    match problem:
        case smtplib.SMTPRecipientsRefused():
            code = max(code for code, _answer in problem.recipients.values())
            return _refused(_("The mail server refused the address (%s)."), code)
        case smtplib.SMTPSenderRefused():
            return _refused(_("The mail server refused our address as the sender (%s)."), problem.smtp_code)
        case smtplib.SMTPResponseException():
            return _refused(_("The mail server refused the mail (%s)."), problem.smtp_code)
        case smtplib.SMTPNotSupportedError():
            return NotSent(_("The mail server cannot write to this address."), is_permanent=True)
        case OSError():
            return NotSent(_("The mail server did not answer (%s).") % _name(problem), ends_round=True)
        case ValueError():
            return NotSent(_("The address is not one that mail can go to."), is_permanent=True)
    return failure_to_compose(problem)


def failure_to_compose(problem: Exception) -> NotSent:
    """Describe an error in our own code. Temporary: the next release may have it right."""
    return NotSent(_("A fault on our side (%s).") % _name(problem))


def _refused(sentence: str, code: int) -> NotSent:
    # 421: the server is about to close the connection.
    return NotSent(sentence % code, is_permanent=code >= 500, ends_round=code == 421)


def _name(problem: Exception) -> str:
    return type(problem).__name__
