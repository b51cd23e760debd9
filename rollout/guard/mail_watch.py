"""Alerts while mail to members does not go out, and when some was given up."""

from carecollective.mail.selectors import QueueState, read_queue
from rollout.alerts import lifecycle
from rollout.alerts.evidence import Finding
from rollout.alerts.rules import rule_of
from rollout.targeting import snapshot

FAILURES_IN_A_ROW = 3
WAITED_SECONDS = 900.0


def check_mail() -> int:
    """Note or end the alerts about mail, and return how many are noted. For the worker."""
    queue = read_queue(overdue_seconds=WAITED_SECONDS)
    # Mail first: what was given up may be the end of the same trouble.
    noted = _note("mail_failing", _describe_failing(queue), queue.failing + queue.overdue)
    return noted + _note("mail_given_up", _describe_given_up(queue), queue.given_up)


def _describe_failing(queue: QueueState) -> str:
    if queue.failing >= FAILURES_IN_A_ROW or queue.failing_for >= WAITED_SECONDS:
        mails = "mail has" if queue.failing == 1 else "mails have"
        minutes = round(queue.failing_for / 60)
        first = f"{minutes} min ago" if minutes else "just now"
        return f"{queue.failing} {mails} failed and none went out since; the first was tried {first}. {queue.reason}"
    if queue.overdue:
        mails = "mail has" if queue.overdue == 1 else "mails have"
        return f"{queue.overdue} {mails} been due for over 15 min, and nothing tries to send them."
    return ""


def _describe_given_up(queue: QueueState) -> str:
    if not queue.given_up:
        return ""
    mails = "mail was" if queue.given_up == 1 else "mails were"
    return f"{queue.given_up} {mails} given up in the last 24 hours. {queue.given_up_reason}"


def _note(kind: str, words: str, total: int) -> bool:
    if not words:
        lifecycle.resolve(kind)
        return False
    rule = rule_of(kind)
    lifecycle.raise_alert(Finding(rule, words, {"total": total}, total=total), stage=snapshot.read_now().stage)
    return True
