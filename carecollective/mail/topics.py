"""What members can choose to be written about, and the links in mail with which they choose."""

import base64
import binascii
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

_SIGNER = Signer(salt="carecollective.mail.preferences", sep=".")


class Topic(models.TextChoices):
    """One choice on the preferences page. Mail about the account itself, such as a code, has no topic and always goes."""

    MESSAGES = "messages", _("Offers and messages")
    REQUESTS = "requests", _("News of requests: completed, withdrawn, about to end")
    APPLICANTS = "applicants", _("People who wait to join (for staff)")
    REPORTS = "reports", _("Reports and messages that wait (for staff)")

    @property
    def is_for_staff(self) -> bool:
        return self in (Topic.APPLICANTS, Topic.REPORTS)


def make_preferences_link(member_id: UUID, topic: Topic) -> str:
    """Return a link to the member's choices. It opens nothing else, and holds no name or address.

    It does not expire, so that mail can always be stopped.
    """
    key = base64.urlsafe_b64encode(member_id.bytes).rstrip(b"=").decode()
    path = reverse("mail-preferences", args=[_SIGNER.sign(f"{topic}.{key}")])
    return f"{settings.SITE_ADDRESS}{path}"


def read_preferences_link(token: str) -> tuple[UUID, Topic] | None:
    """Return whose choices a link opens and the topic of its mail; None when it is not one of ours."""
    try:
        topic, _dot, key = _SIGNER.unsign(token).partition(".")
        return UUID(bytes=base64.urlsafe_b64decode(f"{key}==")), Topic(topic)
    except (BadSignature, binascii.Error, ValueError):
        return None
