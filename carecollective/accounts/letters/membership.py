"""What applicants hear: they were approved, or not."""

from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from carecollective.accounts.models import User, VerificationStatus
from carecollective.mail.letters import Action, Letter, Part, Quote

APPROVED_MAIL, REJECTED_MAIL = "membership_approved", "membership_rejected"


def compose_approved(member_id: UUID) -> Letter | None:
    """Welcome a member, and lead on to where they wanted to go; None when the decision was changed meanwhile."""
    member = User.objects.get(pk=member_id)
    if not member.is_approved:
        return None
    path = member.wanted_path or reverse("requests")
    label = _("Go on where you were") if member.wanted_path else _("See who needs help")
    return Letter(
        _("Welcome to Care Collective"),
        [
            _("You are a member now. You can offer help, and ask for it."),
            Action(label, f"{settings.SITE_ADDRESS}{path}"),
            _("Sign in with this e-mail address. If anything is unclear, the help page says how to reach us."),
        ],
        name=member.name,
    )


def compose_rejected(member_id: UUID) -> Letter | None:
    """Say kindly that there is no membership, with the reason that staff gave; None when that was changed meanwhile."""
    member = User.objects.get(pk=member_id)
    if member.verification_status != VerificationStatus.REJECTED:
        return None
    reason: list[Part] = [_("Staff wrote:"), Quote(member.rejection_reason)] if member.rejection_reason else []
    return Letter(
        _("About your membership at Care Collective"),
        [
            _("Thank you for wanting to join. We could not approve your membership this time."),
            *reason,
            _("You can still read requests. If you think this is a mistake, please write to us."),
            Action(_("Write to us"), f"{settings.SITE_ADDRESS}{reverse('contact')}"),
        ],
        name=member.name,
    )
