"""Of two of staff who decide about an applicant at once, one does and the other hears it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib.admin.models import LogEntry

from carecollective.accounts.applicants.services import AlreadyDecided, decide_application
from carecollective.accounts.models import User
from carecollective.mail.models import OutgoingMail

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
