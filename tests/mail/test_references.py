"""Mail about one thing among several: codes, and mail to an address that is being changed."""

import pytest

from carecollective.core.database import ClockTimestamp
from carecollective.mail import queue
from carecollective.mail.delivery import send_waiting
from carecollective.mail.letters import Letter
from carecollective.mail.models import MailState, OutgoingMail
from carecollective.mail.queue import cancel_mail, queue_mail, queue_mail_in_constant_time
from tests.mail.conftest import KIND

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def about_a_reference(kind):
    queue.register(
        KIND, title="A test", compose=lambda member_id, reference="": Letter("Hello", [f"About {reference}."])
    )


def test_two_codes_of_a_member_are_both_sent(member, server):
    ada = member(email="ada@example.org")
    for reference in ("first", "second", "second"):
        queue_mail(KIND, ada.pk, reference=reference)
    assert send_waiting() == 2
    first, second = (message.get_payload(0).get_payload(decode=True).decode() for message in server.messages)
    assert ("About first." in first, "About second." in second) == (True, True)


def test_a_mail_goes_to_the_address_that_is_being_confirmed(member, server):
    ada = member(email="ada@example.org")
    queue_mail(KIND, ada.pk, reference="a code", address="ada@new.example")
    assert send_waiting() == 1
    assert server.addresses == ["ada@new.example"]


def test_nothing_is_queued_for_an_unknown_address():
    queue_mail_in_constant_time(KIND, None)
    assert not OutgoingMail.objects.exists()


def test_a_cancellation_forgets_addresses_and_references(member):
    ada, ben = member(), member()
    for person in (ada, ben):
        queue_mail(KIND, person.pk, reference="a code", address="x@new.example")
    OutgoingMail.objects.filter(recipient=ada).update(state=MailState.SENT, settled_at=ClockTimestamp())
    cancel_mail(ada.pk)
    assert OutgoingMail.objects.get(recipient=ada).address == OutgoingMail.objects.get(recipient=ada).reference == ""
    assert OutgoingMail.objects.get(recipient=ben).address == "x@new.example"
