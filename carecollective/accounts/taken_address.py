"""Mail to a member when somebody joins with their address. The page answers as for any other address."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext

from carecollective.accounts.models import User
from carecollective.core.database import ClockTimestamp
from carecollective.mail.models import OutgoingMail
from carecollective.mail.queue import Letter, queue_mail

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
    words = {"member": User.objects.get(pk=member_id), "link": f"{settings.SITE_ADDRESS}{reverse('login')}"}
    return Letter(
        gettext("You are already a member of Care Collective"),
        render_to_string("accounts/email/member_already.txt", words),
    )
