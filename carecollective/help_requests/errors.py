"""Why something cannot be done with a help request."""

from django.utils.translation import gettext_lazy as _

from carecollective.core.errors import DomainError, InvalidInput


class HelpRequestNotFound(DomainError):
    code = "help_request_not_found"
    message = _("We could not find this help request.")


class OwnRequest(InvalidInput):
    message = _("You cannot offer help on your own request")


class HelpRequestUnavailable(DomainError):
    code = "help_request_unavailable"
    message = _("This request is no longer open. Thank you for offering.")


class StatusChangeRefused(HelpRequestUnavailable):
    message = _("This request has already been changed. Please reload the page.")
