"""Read the state of the mail queue."""

from dataclasses import dataclass

from carecollective.core.database import fetch_all
from carecollective.core.waiting import WaitingQuery, when_they_came
from carecollective.mail.models import MailState, OutgoingMail


@dataclass(frozen=True, slots=True)
class QueueState:
    """The number of mails that fail while none is sent, that are due and not tried, and given up in the last day.

    `failing_for` is how many seconds the first failing mail has been tried, `reason` why the latest failed.
    """

    failing: int
    failing_for: float
    overdue: int
    given_up: int
    reason: str
    given_up_reason: str


# A mail that failed before the last success does not count as failing: its address is the cause, not the server.
_QUEUE = """
WITH last AS (SELECT coalesce(max(settled_at), '-infinity') AS sent_at FROM mail_outgoingmail WHERE state = 'sent'),
open AS (
  SELECT m.*, m.state = 'waiting' AND m.error <> '' AND m.first_tried_at > last.sent_at AS is_failing,
    m.state = 'dead' AND m.settled_at > clock_timestamp() - interval '1 day' AS is_given_up
  FROM mail_outgoingmail m, last WHERE m.state IN ('waiting', 'dead'))
SELECT count(*) FILTER (WHERE is_failing),
  coalesce(extract(epoch FROM clock_timestamp() - min(first_tried_at) FILTER (WHERE is_failing)), 0)::float,
  count(*) FILTER (WHERE state = 'waiting' AND next_try_at < clock_timestamp() - make_interval(secs => %(overdue)s)),
  count(*) FILTER (WHERE is_given_up),
  coalesce((array_agg(error ORDER BY last_tried_at DESC) FILTER (WHERE is_failing))[1], ''),
  coalesce((array_agg(error ORDER BY settled_at DESC) FILTER (WHERE is_given_up))[1], '')
FROM open
"""


def read_queue(*, overdue_seconds: float) -> QueueState:
    """Read the state of the queue. Mail is overdue when it was due this long and not tried."""
    (row,) = fetch_all(_QUEUE, {"overdue": overdue_seconds})
    return QueueState(*row)


def dead_letters() -> WaitingQuery:
    """Ask for the mail that was given up, and when."""
    return when_they_came(OutgoingMail.objects.filter(state=MailState.DEAD), "settled_at")
