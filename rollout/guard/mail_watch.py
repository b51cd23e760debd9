"""Alerts while mail to members does not go out, and when some was given up."""

from carecollective.mail.selectors import QueueState, read_queue
from carecollective.serving import worker
from rollout.alerts import lifecycle
from rollout.formatting import count
from rollout.targeting import snapshot

FAILURES_IN_A_ROW = 3
WAITED_SECONDS = 900.0
# After a night without a worker all mail is overdue. A worker has this long to begin with it.
STARTING_SECONDS = 60.0


def check_mail() -> int:
    """Raise or resolve the alerts about mail, and return how many are raised. For the worker."""
    queue, stage = read_queue(overdue_seconds=WAITED_SECONDS), snapshot.read_now().stage
    raised = 0
    # Failing mail first: what was given up may be the end of the same trouble.
    if not _waits_for_its_worker(queue):
        raised += lifecycle.raise_or_resolve(
            "mail_failing", _describe_failing(queue), stage=stage, total=queue.failing + queue.overdue
        )
    return raised + lifecycle.raise_or_resolve(
        "mail_given_up", _describe_given_up(queue), stage=stage, total=queue.given_up
    )


def _waits_for_its_worker(queue: QueueState) -> bool:
    """Tell whether it is too early to say that nothing sends what is due; an alert that says so stays open meanwhile."""
    return bool(queue.overdue) and not _is_failing(queue) and worker.seconds_at_work() < STARTING_SECONDS


def _is_failing(queue: QueueState) -> bool:
    return queue.failing >= FAILURES_IN_A_ROW or queue.failing_for >= WAITED_SECONDS


def _describe_failing(queue: QueueState) -> str:
    if _is_failing(queue):
        mails, minutes = count(queue.failing, "mail has", "mails have"), round(queue.failing_for / 60)
        first = f"{minutes} min ago" if minutes else "just now"
        return f"{mails} failed and none went out since; the first was tried {first}. {queue.reason}"
    if queue.overdue:
        mails = count(queue.overdue, "mail has", "mails have")
        return f"{mails} been due for over 15 min, and nothing tries to send them."
    return ""


def _describe_given_up(queue: QueueState) -> str:
    if not queue.given_up:
        return ""
    mails = count(queue.given_up, "mail was", "mails were")
    return f"{mails} given up in the last 24 hours. {queue.given_up_reason}"
