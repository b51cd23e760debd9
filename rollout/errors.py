from collections.abc import Sequence
from typing import Any

from carecollective.core.errors import DomainError, NotPermitted


class PromotionRefused(DomainError):
    """A promotion lacks something; `missing` names each in one sentence."""

    code = "promotion_refused"
    message = "The rollout is not ready for this step."

    def __init__(self, message: Any = None, *, missing: Sequence[str] = ()) -> None:
        self.missing = tuple(missing)
        super().__init__(message, missing=list(self.missing))


class OverrideRefused(NotPermitted):
    message = "Only a superuser may pass over what is missing."


class ProposalStale(DomainError):
    """The rollout has changed since the proposal was made."""

    code = "proposal_stale"
    message = "The rollout has changed since this was proposed, so it was not approved. Propose it anew."


class ProposalUnproven(DomainError):
    """The application did not write the proposal's row, or wrote it with another key."""

    code = "proposal_unproven"
    message = (
        "This proposal was not made in the control room, or before the site's secret key changed. "
        "Ask whoever stands under it. Refuse it; then it can be proposed again."
    )


class ApprovalNotAccepted(DomainError):
    """The database does not recognise the approval as the application's, so the step was undone."""

    code = "approval_not_accepted"
    message = (
        "The database does not recognise this approval, so nothing was changed. Was DJANGO_SECRET_KEY changed? "
        "Run manage.py migrate, restart the site, and try again."
    )


class ProposalPending(DomainError):
    code = "proposal_pending"
    message = "Another proposal is waiting. Decide or withdraw that one first."


class ProposalSettled(DomainError):
    code = "proposal_settled"
    message = "This proposal has been decided already."


class ProposalNotFound(DomainError):
    code = "not_found"
    message = "We could not find this proposal."


class SamePerson(NotPermitted):
    """The same person tries to give both of two approvals."""

    message = "It takes a second person. Ask another staff member."


class RoleMissing(NotPermitted):
    """The signer does not hold the role that must sign."""


class NothingToChange(DomainError):
    code = "nothing_to_change"
    message = "The rollout is already there; nothing was changed."


class RollbackNotWritten(DomainError):
    """The database did not accept the rollback, so nothing changed."""

    code = "rollback_not_written"
    message = (
        "V2 is as it was. Try again, or set MESSAGING_V2_ROLLOUT=disabled and restart the site: that needs no database."
    )


class NothingToCertify(DomainError):
    code = "nothing_to_certify"
    message = "The rollout is not at disabled, so starts in V2 are as they should be."


class RootCauseNotFound(DomainError):
    code = "not_found"
    message = "We could not find this form."


class RootCauseFiled(DomainError):
    code = "root_cause_filed"
    message = "This form has been filed already."


class AlertNotFound(DomainError):
    code = "not_found"
    message = "We could not find this alert."


class ChannelNotConfigured(DomainError):
    """The environment does not configure the channel. The message names what to set."""

    code = "channel_not_configured"


class ItemUnknown(DomainError):
    code = "not_found"
    message = "There is no such item to sign at this stage."


class SignedTooEarly(DomainError):
    """The period to be signed for is not over. The message says when it will be."""

    code = "signed_too_early"
