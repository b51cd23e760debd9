"""Staff see which mail did not arrive, and can try it again."""

import pytest
from django.contrib.admin.models import LogEntry

from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import MailState, OutgoingMail

LIST = "/admin/mail/outgoingmail/"
ADA, BEN, CHIDI = "ada@example.org", "ben@example.org", "chidi@example.org"


@pytest.fixture
def failed(queued, server):
    """One mail is dead, one is being tried again, and one has arrived."""
    server.answer_rcpt = lambda address: {ADA: "550 no", BEN: "451 later"}.get(address, "250 OK")
    people = queued(ADA, BEN, CHIDI)
    assert send_waiting() == 1
    server.answer_rcpt = lambda address: "250 OK"
    return people


def test_staff_see_who_what_when_and_why_and_never_the_words(failed, staff, signed_in):
    ada, ben, chidi = failed
    page = signed_in(staff(is_superuser=False)).get(LIST).content.decode()
    assert page.count('class="action-select"') == 2
    for shown in (ada.name, ben.name, "A test", "given up", "will be tried again"):
        assert shown in page
    assert "The mail server refused the address (550)." in page
    assert "The mail server refused the address (451)." in page
    assert chidi.name not in page
    assert "Hello" not in page
    assert "Zoë" not in page


def test_staff_try_again_what_did_not_arrive(failed, staff, signed_in, server):
    sam = staff(is_superuser=False)
    keys = [str(key) for key in OutgoingMail.objects.exclude(state=MailState.SENT).values_list("pk", flat=True)]
    page = signed_in(sam).post(LIST, {"action": "try_again", "_selected_action": keys}, follow=True).content.decode()
    assert "2 mails are tried again now." in page
    assert LogEntry.objects.filter(user=sam, object_id__in=keys).count() == 2
    assert send_waiting() == 2
    assert sorted(server.addresses) == [ADA, BEN, CHIDI]
    assert not OutgoingMail.objects.exclude(state=MailState.SENT).exists()


def test_nobody_else_sees_or_tries_them(failed, member, signed_in):
    keys = [str(key) for key in OutgoingMail.objects.values_list("pk", flat=True)]
    client = signed_in(member())
    assert client.get(LIST).status_code == 302
    assert client.post(LIST, {"action": "try_again", "_selected_action": keys}).status_code == 302
    assert OutgoingMail.objects.filter(state=MailState.DEAD).count() == 1
