"""What the queue shows of how mail is going."""

from dataclasses import dataclass

from carecollective.core.database import fetch_all


@dataclass(frozen=True, slots=True)
class QueueState:
    """Mail that fails while none goes out, mail that is due and untouched, and mail given up in the last day.

    `failing_for` is how many seconds the first of the failing has been tried, `reason` why the latest failed.
    """

    failing: int
    failing_for: float
    overdue: int
    given_up: int
    reason: str
    given_up_reason: str


# A mail that first failed before the last success is no sign that the server is away: its own address is the trouble.
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
    """Read how the mail is going; `overdue` counts what has been due for longer than this and was not tried."""
    ((failing, failing_for, overdue, given_up, reason, given_up_reason),) = fetch_all(
        _QUEUE, {"overdue": overdue_seconds}
    )
    return QueueState(failing, failing_for, overdue, given_up, reason, given_up_reason)
