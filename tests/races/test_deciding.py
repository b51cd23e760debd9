"""Two of staff who decide about a member at once: one decision about an applicant, one mail about a membership's end."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.contrib.admin.models import LogEntry

from carecollective.accounts import services
from carecollective.accounts.applicants.services import AlreadyDecided, decide_application
from carecollective.accounts.models import User
from carecollective.accounts.services import reject_member
from carecollective.mail.models import OutgoingMail
from carecollective.mail.queue import queue_mail

Make = Callable[..., Any]
TRIALS = 8


def test_of_two_decisions_at_once_one_holds_and_one_is_told(
    crowd: Callable[..., list[Any]], staff: Make, member: Make
) -> None:
    amina, ben = staff(name="Amina"), staff(name="Ben")
    for trial in range(1, TRIALS + 1):
        ada = member(verification_status="pending")
        decide = partial(decide_application, member_id=ada.pk, reason="We serve Springfield only.")
        found = crowd(partial(decide, actor=amina, approves=True), partial(decide, actor=ben, approves=False))
        (refusal,) = [one for one in found if one is not None]
        assert isinstance(refusal, AlreadyDecided)
        status = User.objects.values_list("verification_status", flat=True).get(pk=ada.pk)
        said = "Amina approved them already." if status == "approved" else "Ben decided already not to approve them."
        assert str(refusal.message) == said
        assert LogEntry.objects.count() == OutgoingMail.objects.count() == trial


def test_a_membership_ended_by_two_at_once_is_one_mail(
    crowd: Callable[..., list[Any]], staff: Make, member: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued: list[UUID] = []

    def note(kind: str, recipient_id: UUID) -> None:
        # The table holds one waiting mail of a kind, and would hide a second until the first is sent.
        queued.append(recipient_id)
        queue_mail(kind, recipient_id)

    monkeypatch.setattr(services, "queue_mail", note)
    amina, ben = staff(name="Amina"), staff(name="Ben")
    for _trial in range(TRIALS):
        ada = member()
        end = partial(reject_member, member_id=ada.pk, reason="We serve Springfield only.")
        assert crowd(partial(end, actor=amina), partial(end, actor=ben)) == [None, None]
        assert queued.count(ada.pk) == OutgoingMail.objects.filter(recipient=ada).count() == 1
