"""Mail to a member when somebody joins with their address. The page answers as for any other address."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext

from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp
from carecollective.mail.letters import Action, Letter
from carecollective.mail.models import OutgoingMail
from carecollective.mail.queue import queue_mail

MEMBER_ALREADY_MAIL = "member_already"
# However often the form is sent.
ONE_MAIL_PER = timedelta(days=1)


def tell_member(member: User) -> None:
    """Queue a mail to the member, at most one a day. Members who were shut out get none."""
    told = OutgoingMail.objects.filter(
        kind=MEMBER_ALREADY_MAIL, recipient=member, created_at__gt=ClockTimestamp() - ONE_MAIL_PER
    )
    if member.is_active and not told.exists():
        queue_mail(MEMBER_ALREADY_MAIL, member.pk)


def compose_member_already(member_id: UUID) -> Letter:
    """Write the mail. It repeats nothing of what was typed into the form."""
    return Letter(
        gettext("You are already a member of Care Collective"),
        [
            gettext(
                "Somebody, perhaps you, has just filled in the form to join Care Collective with this e-mail address. "
                "You are already a member, so nothing has changed."
            ),
            Action(gettext("Sign in with your password"), f"{settings.SITE_ADDRESS}{reverse('login')}"),
            gettext(
                "If you have forgotten it, that page has a link with which you choose a new one. If it was not you, you need "
                "do nothing."
            ),
        ],
        name=User.objects.get(pk=member_id).name,
    )
