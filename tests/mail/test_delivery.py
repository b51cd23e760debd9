"""No mail is lost when the server is down, refuses, hangs or hangs up. Staff see permanent failures."""

import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from carecollective.core.database import ClockTimestamp
from carecollective.mail import delivery, queue
from carecollective.mail.delivery import prune_mail, send_waiting
from carecollective.mail.letters import message_id
from carecollective.mail.models import MailState, OutgoingMail
from carecollective.mail.queue import NotNow, cancel_mail, queue_mail, try_again
from tests.mail.conftest import KIND
from tests.mail.smtp_server import MailServer, free_port, hanging, serving
from tests.roles import as_role

ADA, BEN, CHIDI = "ada@example.org", "ben@example.org", "chidi@example.org"


def states():
    return list(OutgoingMail.objects.order_by("created_at").values_list("state", flat=True))


def seconds_to_next_try(mail):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM next_try_at - clock_timestamp())::float FROM mail_outgoingmail WHERE id = %s",
            [mail.pk],
        )
        return cursor.fetchone()[0]


def test_what_is_queued_goes_out_once_to_each(queued, server):
    ada, _ben = queued(ADA, BEN)
    assert (send_waiting(), send_waiting()) == (2, 0)
    assert server.addresses == [ADA, BEN]
    assert states() == [MailState.SENT] * 2
    first = server.messages[0]
    plain, html = first.get_payload()
    assert f"For {ada.pk}, Zoë's" in plain.get_payload(decode=True).decode()
    assert f"For {ada.pk}, Zoë&#x27;s" in html.get_payload(decode=True).decode()
    assert first["Message-ID"] == message_id(OutgoingMail.objects.get(recipient=ada).pk)
    assert first["Auto-Submitted"] == "auto-generated"


def test_a_mail_is_part_of_the_callers_transaction(db, member, server):
    person = member()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        queue_mail(KIND, person.pk)
        raise ZeroDivisionError
    assert (send_waiting(), OutgoingMail.objects.count()) == (0, 0)


def test_the_same_mail_waits_once(queued, server):
    (ada,) = queued(ADA)
    queue_mail(KIND, ada.pk)
    assert send_waiting() == 1
    queue_mail(KIND, ada.pk)
    assert send_waiting() == 1


def test_a_server_that_is_down_loses_nothing(queued, use_server, make_due):
    port = free_port()
    use_server(f"smtp://127.0.0.1:{port}")
    queued(ADA, BEN)
    for _round in range(3):
        assert send_waiting() == 0
        make_due()
    assert states() == [MailState.WAITING] * 2
    assert set(OutgoingMail.objects.values_list("error", flat=True)) == {
        "The mail server could not be reached (ConnectionRefusedError)."
    }
    with serving(MailServer(port)) as server:
        assert send_waiting() == 2
        assert sorted(server.addresses) == [ADA, BEN]
    assert states() == [MailState.SENT] * 2
    assert set(OutgoingMail.objects.values_list("error", flat=True)) == {""}


@pytest.mark.parametrize("step", ["answer_rcpt", "answer_data"])
def test_a_server_that_says_451_for_a_while_loses_nothing(queued, server, make_due, step):
    queued(ADA, BEN)
    setattr(server, step, lambda address: "451 greylisted, try again ada@example.org")
    assert (send_waiting(), states()) == (0, [MailState.WAITING] * 2)
    # One mail's refusal is no reason to keep the next back.
    assert server.tries == [ADA, BEN]
    setattr(server, step, lambda address: "250 OK")
    assert send_waiting() == 0
    make_due()
    assert send_waiting() == 2
    assert sorted(server.addresses) == [ADA, BEN]


def test_pauses_grow_and_stay_under_half_an_hour(queued, server, make_due):
    queued(ADA)
    server.answer_rcpt = lambda address: "451 later"
    (mail,) = OutgoingMail.objects.all()
    pauses = []
    for _try in range(12):
        send_waiting()
        pauses.append(round(seconds_to_next_try(mail) / 10))
        make_due()
    assert pauses[:6] == [1, 2, 4, 8, 16, 32]
    assert pauses[-1] == 180


def test_after_three_days_a_mail_is_a_dead_letter(queued, server, make_due):
    queued(ADA)
    server.answer_rcpt = lambda address: "451 later"
    for tried_for, state in ((timedelta(days=2, hours=23), MailState.WAITING), (timedelta(days=3), MailState.DEAD)):
        OutgoingMail.objects.update(first_tried_at=timezone.now() - tried_for)
        make_due()
        assert (send_waiting(), states()) == (0, [state])


def test_three_days_begin_with_the_first_try(queued, server):
    queued(ADA)
    with as_role("owner"):
        OutgoingMail.objects.update(created_at=timezone.now() - timedelta(days=9))
    server.answer_rcpt = lambda address: "451 later"
    assert (send_waiting(), states()) == (0, [MailState.WAITING])


@pytest.mark.parametrize("step", ["answer_rcpt", "answer_data"])
def test_a_permanent_refusal_is_a_dead_letter_and_others_go(queued, server, make_due, caplog, step):
    queued(ADA, BEN, CHIDI)
    setattr(server, step, lambda address: "550 5.1.1 ben@example.org unknown" if address == BEN else "250 OK")
    assert send_waiting() == 2
    assert server.addresses == [ADA, CHIDI]
    assert states() == [MailState.SENT, MailState.DEAD, MailState.SENT]
    dead = OutgoingMail.objects.get(state=MailState.DEAD)
    assert "550" in dead.error
    logged = " ".join(line.getMessage() for line in caplog.records if line.name.startswith("carecollective"))
    assert BEN not in f"{dead.error} {logged} {dead}"
    assert "could not be handed over" in logged
    make_due()
    assert send_waiting() == 0
    assert try_again([dead.pk]) == [dead]
    setattr(server, step, lambda address: "250 OK")
    assert send_waiting() == 1
    assert server.message_ids[-1] == message_id(dead.pk)


def test_an_address_that_is_none_is_a_dead_letter(queued, server):
    queued("a@b@c <", BEN)
    assert send_waiting() == 1
    assert states() == [MailState.DEAD, MailState.SENT]


def test_a_server_that_hangs_is_left_after_the_timeout(queued, use_server, make_due):
    with hanging() as url:
        use_server(url)
        queued(ADA, BEN, CHIDI)
        began = time.monotonic()
        assert send_waiting() == 0
        assert time.monotonic() - began < 5
    assert states() == [MailState.WAITING] * 3
    # The round ends with the first: the others were not tried.
    assert sorted(OutgoingMail.objects.values_list("attempts", flat=True)) == [0, 0, 1]


def test_a_server_that_hangs_up_after_data_doubles_one_at_most(queued, server, make_due):
    queued(ADA, BEN)
    server.cut_after_data = 1
    assert send_waiting() == 0
    assert states() == [MailState.WAITING] * 2
    make_due()
    assert send_waiting() == 2
    assert sorted(server.addresses) == [ADA, ADA, BEN]
    first, *others = [one for one, to in zip(server.message_ids, server.addresses, strict=True) if to == ADA]
    assert others == [first]


def test_a_server_that_says_421_ends_the_round(queued, server, make_due):
    queued(ADA, BEN)
    server.answer_rcpt = lambda address: "421 closing"
    assert (send_waiting(), len(server.tries)) == (0, 1)
    server.answer_rcpt = lambda address: "250 OK"
    make_due()
    assert send_waiting() == 2


def test_a_user_that_the_server_refuses_makes_no_dead_letters(queued, server, settings):
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "care", "wrong"
    queued(ADA, BEN)
    assert (send_waiting(), states()) == (0, [MailState.WAITING] * 2)


def test_a_mistake_of_ours_is_tried_again_and_keeps_nobody_else(queued, server, make_due, monkeypatch, caplog):
    queued(ADA, BEN)
    with as_role("owner"):
        OutgoingMail.objects.filter(recipient__email=ADA).update(kind="of another release")
    assert send_waiting() == 1
    assert states() == [MailState.WAITING, MailState.SENT]
    assert "KeyError" in OutgoingMail.objects.get(recipient__email=ADA).error


def test_who_left_or_may_not_sign_in_gets_none(queued, server):
    ada, ben = queued(ADA, BEN)
    type(ada).objects.filter(pk=ada.pk).update(is_active=False)
    with as_role("owner"):
        type(ben).objects.filter(pk=ben.pk).update(email=None)
    assert (send_waiting(), server.tries) == (0, [])
    assert states() == [MailState.SKIPPED] * 2


def test_what_is_taken_back_does_not_go(queued, server):
    ada, _ben = queued(ADA, BEN)
    cancel_mail(ada.pk)
    assert send_waiting() == 1
    assert server.addresses == [BEN]


def test_what_comes_at_a_bad_hour_waits_and_counts_as_no_try(queued, server, make_due, monkeypatch):
    queued(ADA)

    def refuse(mail):
        raise NotNow

    with monkeypatch.context() as patch:
        patch.setattr(delivery, "compose", refuse)
        assert send_waiting() == 0
    (mail,) = OutgoingMail.objects.all()
    assert (mail.state, mail.attempts, mail.first_tried_at, mail.error) == (MailState.WAITING, 0, None, "")
    make_due()
    assert send_waiting() == 1


def test_a_round_ends_in_time(queued, server, monkeypatch):
    monkeypatch.setattr(delivery, "ROUND_SECONDS", 0.3)
    server.on_data = lambda: time.sleep(0.4)
    queued(ADA, BEN)
    assert (send_waiting(), send_waiting()) == (1, 1)


def test_two_workers_send_nothing_twice(queued, server):
    """The first worker has claimed the mail while the second looks."""
    queued(ADA)
    seconds = []
    server.on_data = lambda: seconds.append(0)
    first = delivery._claim()
    assert first is not None
    assert (send_waiting(), server.tries) == (0, [])
    # The claim lasts as long as the first may try.
    assert seconds_to_next_try(first) > 10


def test_try_again_does_not_double_what_waits_already(queued, server):
    (ada,) = queued(ADA)
    OutgoingMail.objects.update(state=MailState.DEAD, settled_at=ClockTimestamp())
    dead = OutgoingMail.objects.get()
    queue_mail(KIND, ada.pk)
    assert try_again([dead.pk]) == []
    assert send_waiting() == 1
    assert states() == [MailState.SKIPPED, MailState.SENT]
    assert try_again(OutgoingMail.objects.values_list("pk", flat=True)) == []


def test_what_is_over_is_forgotten_after_thirty_days(queued, server):
    queued(ADA, BEN, CHIDI)
    with as_role("owner"):
        OutgoingMail.objects.filter(recipient__email=CHIDI).update(created_at=timezone.now() - timedelta(days=40))
    server.answer_rcpt = lambda address: {BEN: "550 no", CHIDI: "451 later"}.get(address, "250 OK")
    send_waiting()
    for age, left in ((29, 3), (31, 1)):
        OutgoingMail.objects.exclude(settled_at=None).update(settled_at=timezone.now() - timedelta(days=age))
        assert (prune_mail(), OutgoingMail.objects.count()) == (3 - left, left)
    assert states() == [MailState.WAITING]


def test_every_kind_that_the_site_sends_has_a_title():
    kinds = {
        *("password_link", "export_ready", "conversation_news", "daily_news", "reply_refused", "contact_messages"),
        *("membership_approved", "membership_rejected", "request_over", "request_expiring", "request_expired"),
        *("applicants_waiting", "reports_waiting"),
    }
    assert kinds <= set(queue._kinds)
    assert all(queue.kind_title(name) != name for name in kinds)
