"""Real workers and servers: a worker killed between sending and settling, and a mail server that hangs."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from carecollective.mail.models import MailState, OutgoingMail
from carecollective.mail.queue import queue_mail
from carecollective.web import health
from tests.mail.smtp_server import MailServer, hanging, serving
from tests.rollout.alerts.webhook_server import webhook_server
from tests.rollout.guard.processes import running
from tests.waiting import wait_for

KIND = "password_link"
Connect = Callable[..., "psycopg.Connection[Any]"]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("committed_db")]


@pytest.mark.parametrize("moment", ["before it was taken", "after it was taken"])
def test_a_killed_worker_loses_no_mail_and_doubles_one_at_most(
    member: Callable[..., Any], connect_as: Connect, moment: str
) -> None:
    superuser = connect_as("superuser", autocommit=True)
    people = [member() for _person in range(3)]
    for person in people:
        queue_mail(KIND, person.pk)
    killed: list[int] = []
    with serving(MailServer()) as server:
        environment = {"TEST_EMAIL_URL": server.url, "TEST_EMAIL_TIMEOUT": "1"}
        with running("worker", role="web", **environment) as first:

            def kill() -> None:
                if not killed:
                    killed.append(first.pid)
                    os.kill(first.pid, signal.SIGKILL)
                    first.wait(10)

            def kill_early(address: str) -> str:
                kill()
                return "250 OK"

            if moment == "after it was taken":
                server.on_data = kill
            else:
                server.answer_rcpt = kill_early
            wait_for(lambda: killed, seconds=30)
        # The lease of the killed worker: twelve answers of a second each, and ten seconds.
        waits = superuser.execute(
            "UPDATE mail_outgoingmail SET next_try_at = next_try_at - interval '22 s'"
            " WHERE state = 'waiting' AND next_try_at > clock_timestamp() RETURNING next_try_at <= clock_timestamp()"
        )
        assert waits.fetchall() == [(True,)]
        with running("worker", role="web", **environment):
            wait_for(lambda: OutgoingMail.objects.filter(state=MailState.SENT).count() == 3, seconds=40)
    assert set(server.addresses) == {person.email for person in people}
    doubles = len(server.messages) - 3
    assert doubles == (1 if moment == "after it was taken" else 0)
    assert len(set(server.message_ids)) == 3


def test_a_hung_mail_server_holds_up_no_alert_and_is_seen(member: Callable[..., Any], connect_as: Connect) -> None:
    superuser = connect_as("superuser", autocommit=True)
    queue_mail(KIND, member().pk)
    with (
        hanging() as url,
        webhook_server() as slack,
        running(
            "worker",
            role="web",
            TEST_EMAIL_URL=url,
            TEST_EMAIL_TIMEOUT="60",
            TEST_SLACK_WEBHOOK_URL=slack.address,
        ) as worker,
    ):
        wait_for(lambda: OutgoingMail.objects.filter(attempts=1).exists(), seconds=30)
        superuser.execute(
            "INSERT INTO rollout_alert (kind, severity, opened_at, words, figures, stage, disabled_v2) VALUES"
            " ('v1_creation_failing', 'critical', clock_timestamp(), '8 of 10 failed.', '{}', 'percentage:10', false)"
        )
        began = time.monotonic()
        wait_for(lambda: slack.received, seconds=20)
        assert time.monotonic() - began < 15
        assert OutgoingMail.objects.get().state == MailState.WAITING
        assert health.read().checks["worker"]["seconds_since_beat"] < 10
        worker.kill()  # asked to end, it would wait ten seconds for the mail in hand
