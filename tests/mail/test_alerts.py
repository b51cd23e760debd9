"""Failing mail is one alert, which ends when mail is sent again."""

from datetime import timedelta

import pytest
from django.utils import timezone

from carecollective.mail.delivery import send_waiting
from carecollective.mail.models import MailState, OutgoingMail
from carecollective.mail.queue import queue_mail, try_again
from carecollective.serving import worker
from rollout.alerts import lifecycle
from rollout.guard.mail_watch import check_mail
from tests.mail.conftest import KIND
from tests.mail.smtp_server import MailServer, free_port, serving

ADA, BEN, CHIDI, DORA = (f"{name}@example.org" for name in ("ada", "ben", "chidi", "dora"))


def kinds():
    check_mail()
    return [alert.kind for alert in lifecycle.open_alerts()]


def test_nothing_that_fails_is_no_alert(queued, server):
    assert kinds() == []
    queued(ADA)
    assert kinds() == []
    send_waiting()
    assert kinds() == []


def test_three_failures_in_a_row_alert_until_a_success(queued, use_server, make_due):
    port = free_port()
    use_server(f"smtp://127.0.0.1:{port}")
    queued(ADA, BEN, CHIDI)
    for expected in ([], [], ["mail_failing"]):
        send_waiting()
        assert kinds() == expected
    (alert,) = lifecycle.open_alerts()
    assert alert.words == (
        "3 mails have failed and none went out since; the first was tried just now."
        " The mail server could not be reached (ConnectionRefusedError)."
    )
    with serving(MailServer(port)):
        make_due()
        assert send_waiting() == 3
    assert kinds() == []


def test_one_that_fails_for_a_quarter_of_an_hour_is_an_alert(queued, server):
    queued(ADA)
    server.answer_rcpt = lambda address: "451 later"
    send_waiting()
    for minutes, expected in ((14, []), (16, ["mail_failing"])):
        OutgoingMail.objects.update(first_tried_at=timezone.now() - timedelta(minutes=minutes))
        assert kinds() == expected


def test_one_full_mailbox_is_no_alert_while_other_mail_goes(queued, server, member):
    queued(ADA)
    server.answer_rcpt = lambda address: "452 mailbox full" if address == ADA else "250 OK"
    send_waiting()
    OutgoingMail.objects.update(first_tried_at=timezone.now() - timedelta(hours=9))
    queued(BEN)
    assert send_waiting() == 1
    assert kinds() == []


def test_what_is_due_and_not_tried_is_an_alert(queued):
    queued(ADA)
    for minutes, expected in ((14, []), (16, ["mail_failing"])):
        OutgoingMail.objects.update(next_try_at=timezone.now() - timedelta(minutes=minutes))
        assert kinds() == expected
    assert "nothing tries to send" in lifecycle.open_alerts()[0].words


def test_a_worker_that_has_just_begun_is_given_a_minute(queued, monkeypatch):
    queued(ADA)
    OutgoingMail.objects.update(next_try_at=timezone.now() - timedelta(hours=9))
    for seconds, expected in ((1, []), (59, []), (61, ["mail_failing"])):
        monkeypatch.setattr(worker, "seconds_at_work", lambda seconds=seconds: seconds)
        assert kinds() == expected


def test_an_open_alert_is_not_resolved_because_a_worker_begins(queued, monkeypatch):
    queued(ADA)
    OutgoingMail.objects.update(next_try_at=timezone.now() - timedelta(hours=9))
    assert kinds() == ["mail_failing"]
    monkeypatch.setattr(worker, "seconds_at_work", lambda: 1)
    assert kinds() == ["mail_failing"]


def test_failing_mail_is_an_alert_as_soon_as_a_worker_begins(queued, use_server, make_due, monkeypatch):
    monkeypatch.setattr(worker, "seconds_at_work", lambda: 1)
    use_server(f"smtp://127.0.0.1:{free_port()}")
    queued(ADA, BEN, CHIDI, DORA)
    for _round in range(3):
        send_waiting()
    OutgoingMail.objects.filter(recipient__email=DORA).update(next_try_at=timezone.now() - timedelta(hours=9))
    assert kinds() == ["mail_failing"]


def test_a_dead_letter_alerts_for_a_day_or_until_tried_again(queued, server):
    queued(ADA, BEN)
    server.answer_rcpt = lambda address: "550 no"
    send_waiting()
    assert kinds() == ["mail_given_up"]
    words = "2 mails were given up in the last 24 hours. The mail server refused the address (550)."
    assert lifecycle.open_alerts()[0].words == words
    OutgoingMail.objects.filter(recipient__email=BEN).update(settled_at=timezone.now() - timedelta(hours=25))
    assert kinds() == ["mail_given_up"]
    try_again(OutgoingMail.objects.filter(recipient__email=ADA).values_list("pk", flat=True))
    assert kinds() == []


def test_a_dead_letter_hides_no_failing_server(queued, server, use_server, make_due):
    queued(ADA)
    server.answer_rcpt = lambda address: "550 no"
    send_waiting()
    assert kinds() == ["mail_given_up"]
    queued(BEN, CHIDI, DORA)
    use_server(f"smtp://127.0.0.1:{free_port()}")
    for _round in range(3):
        send_waiting()
    assert sorted(kinds()) == ["mail_failing", "mail_given_up"]


@pytest.mark.parametrize("state", [MailState.SENT, MailState.SKIPPED])
def test_what_is_over_is_no_alert(queued, state):
    (ada,) = queued(ADA)
    long_ago = timezone.now() - timedelta(days=1)
    OutgoingMail.objects.update(state=state, settled_at=long_ago, first_tried_at=long_ago, next_try_at=long_ago)
    assert kinds() == []
    queue_mail(KIND, ada.pk)
    assert kinds() == []
