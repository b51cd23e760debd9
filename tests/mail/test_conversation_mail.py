"""Mail about conversations through a real mail server that fails: nothing is lost, and one double at most."""

import pytest

from carecollective.inbox.models import ConversationMail, Notification
from carecollective.inbox.notifications.queue import queue_waiting
from carecollective.inbox.services import offer_help
from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import MailState, OutgoingMail
from tests.mail.smtp_server import MailServer, free_port, hanging, serving

pytestmark = pytest.mark.django_db
ADA, BEN, CHIDI = "ada@example.org", "ben@example.org", "chidi@example.org"


@pytest.fixture(autouse=True)
def at_once(settings):
    settings.MAIL_DELAY_SECONDS = 0


@pytest.fixture
def offered(member, help_request, stage):
    """Offer help to each of these addresses, in this order; return the conversations."""
    stage("enabled")

    def make(*addresses):
        return [
            offer_help(
                actor=member(),
                help_request_id=help_request(user=member(email=address), title=f"For {address[0]}").pk,
                initial_message="Hello, I can bring them on Monday.",
            ).conversation_id
            for address in addresses
        ]

    return make


def deliver():
    queue_waiting()
    return send_waiting()


def unsettled():
    return Notification.objects.filter(settled_at=None).count()


def test_what_arrives_is_both_forms_of_one_letter_about_one_thread(offered, server):
    (thread,) = offered(ADA)
    assert (deliver(), unsettled()) == (1, 0)
    (message,) = server.messages
    assert message.get_content_type() == "multipart/alternative"
    assert message["Subject"].endswith("offers to help: For a")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for part in message.get_payload():
        said = part.get_payload(decode=True).decode()
        assert f"/messages/{thread}#latest" in said
        assert "Monday" not in said


@pytest.mark.parametrize("trouble", ["down", "hung", "451", "cut after DATA"])
def test_a_server_that_fails_for_a_while_loses_nothing(offered, use_server, make_due, trouble):
    offered(ADA, BEN)
    port = free_port()
    if trouble == "hung":
        with hanging() as url:
            use_server(url)
            assert (deliver(), unsettled()) == (0, 2)
    elif trouble == "down":
        use_server(f"smtp://127.0.0.1:{port}")
        assert (deliver(), unsettled()) == (0, 2)
    with serving(MailServer(port)) as server:
        use_server(server.url)
        if trouble == "451":
            server.answer_rcpt = lambda address: "451 later"
            assert (deliver(), unsettled()) == (0, 2)
            server.answer_rcpt = lambda address: "250 OK"
        if trouble == "cut after DATA":
            server.cut_after_data = 1
            assert (deliver(), unsettled()) == (0, 2)
        # Whatever is queued again meanwhile is the mail that waits.
        queue_waiting()
        make_due()
        assert deliver() == 2
        assert deliver() == 0
        doubles = len(server.messages) - 2
        assert doubles == (1 if trouble == "cut after DATA" else 0)
        assert len(set(server.message_ids)) == 2
        assert set(server.addresses) == {ADA, BEN}
    assert (unsettled(), ConversationMail.objects.count()) == (0, 2)


def test_one_refused_address_keeps_nobody_else_from_their_mail(offered, server):
    offered(ADA, BEN, CHIDI)
    server.answer_rcpt = lambda address: "550 unknown" if address == BEN else "250 OK"
    assert (deliver(), unsettled()) == (2, 1)
    assert server.addresses == [ADA, CHIDI]
    assert (deliver(), server.tries.count(BEN)) == (0, 1)
    assert OutgoingMail.objects.get(state=MailState.DEAD).recipient.email == BEN
