"""The table of alert rules: when people are alerted, and when V2 goes off by itself."""

from rollout.alerts import judges
from rollout.alerts.evidence import FIFTEEN_MINUTES, FIVE_MINUTES, ONE_MINUTE, SLOW_MS, Evidence, Finding, Rule
from rollout.models.alerts import Severity

# The alerts of one cause, the strongest first: each silences those after it.
_V2_FAILS = ("guard_rollback", "creation_failing", "failures_in_sequence")
_STARTS_FAIL = ("v1_creation_failing", *_V2_FAILS)
_DATABASE = (*_STARTS_FAIL, "connection_errors", "slow_call")
RESTORE_V2 = (
    "Restore the newest backup. Only if V2 held nothing that anybody needs: roll back to disabled, then `manage.py migrate`"
    " makes the tables again, empty."
)
LOOK_AT_CODES = "Look at the errors by code, then at the database."


RULES = (
    # What turns V2 off.
    Rule(
        kind="integrity",
        severity=Severity.CRITICAL,
        title="A conversation is broken",
        condition="a V2 conversation breaks an invariant",
        consequence="Members may see wrong data.",
        action="Find and repair the rows: `manage.py guard --broken` counts them by kind.",
        over="No broken conversation is left",
        judge=judges.broken_conversations,
        disables_v2=True,
    ),
    Rule(
        kind="creation_failing",
        severity=Severity.CRITICAL,
        title="Conversations cannot be started in V2",
        condition="under 80% of new V2 conversations succeed in 5 minutes",
        consequence="Members in V2 cannot start a conversation.",
        action=LOOK_AT_CODES,
        over="No new failures in V2",
        judge=judges.creation_success,
        threshold=0.80,
        minimum=3,
        fewest=3,
        disables_v2=True,
        of_stage=True,
        quiet_seconds=FIVE_MINUTES,
        silenced_by=_V2_FAILS[:1],
    ),
    Rule(
        kind="failures_in_sequence",
        severity=Severity.CRITICAL,
        title="V2 fails more often than chance allows",
        condition="a sequential test of all V2 operations since the stage began",
        consequence="Members in V2 see errors.",
        action=LOOK_AT_CODES,
        over="No new failures in V2",
        judge=judges.failures_in_sequence,
        disables_v2=True,
        of_stage=True,
        quiet_seconds=FIVE_MINUTES,
        silenced_by=_V2_FAILS[:2],
    ),
    # What members feel.
    Rule(
        kind="v1_creation_failing",
        severity=Severity.CRITICAL,
        title="Conversations cannot be started in V1",
        condition="under 80% of new V1 conversations succeed in 5 minutes, or the latest three of a day failed, or two "
        "trial starts in a row after a rollback",
        consequence="Members outside V2 cannot start a conversation. Turning V2 off does not help them.",
        action="Look at the tables conversations, conversation_participants and messages, and at the errors by code.",
        over="No new failures in V1",
        judge=judges.v1_creation_failing,
        threshold=0.80,
        minimum=3,
        fewest=3,
        quiet_seconds=FIVE_MINUTES,
    ),
    Rule(
        kind="connection_errors",
        severity=Severity.CRITICAL,
        title="The database cannot be reached",
        condition="over 10 connection errors in one minute",
        consequence="Members see errors on every page.",
        action="See whether the database runs and takes more connections.",
        judge=judges.connection_errors,
        window_seconds=ONE_MINUTE,
        threshold=10,
        silenced_by=_STARTS_FAIL,
    ),
    Rule(
        kind="slow_call",
        severity=Severity.CRITICAL,
        title="A call took too long",
        condition="any call over 5 seconds, or ended by the statement timeout (3.5 s); once is enough",
        consequence="Members wait, or see an error.",
        action="Look at the database: locks, long queries, load.",
        judge=judges.slow_calls,
        threshold=SLOW_MS,
        silenced_by=(*_STARTS_FAIL, "connection_errors"),
    ),
    Rule(
        kind="error_rate",
        severity=Severity.WARNING,
        title="Operations fail",
        condition="over 5% of operations fail in 5 minutes",
        consequence="Some members see an error.",
        action="Look at the errors by code.",
        judge=judges.error_rate,
        threshold=0.05,
        minimum=20,
        silenced_by=_DATABASE,
    ),
    Rule(
        kind="latency",
        severity=Severity.WARNING,
        title="Sending is slow",
        condition="p95 of sending over 1,000 ms in 5 minutes",
        consequence="Members wait for their messages to be sent.",
        action="Look at how the database performs.",
        judge=judges.latency,
        threshold=1000.0,
        minimum=20,
        silenced_by=(*_DATABASE, "error_rate"),
    ),
    Rule(
        kind="refusals",
        severity=Severity.WARNING,
        title="Members are refused more often than before",
        condition=(
            "one code refuses at least 10 operations in 5 minutes, or of the latest 100, for several members:"
            " over 5% of them, and three times as many as in the stage before"
        ),
        consequence="Members may be refused what they are allowed to do.",
        action="Look at what the code refuses. If it began with this stage, roll back.",
        over="No more refusals than before",
        judge=judges.refusals,
        threshold=0.05,
        fewest=10,
        of_stage=True,
        silenced_by=("members_cannot_start",),
    ),
    Rule(
        kind="duplicates",
        severity=Severity.WARNING,
        title="The same conversation is started again and again",
        condition="over 10% of offers meet a standing conversation in 15 minutes",
        consequence="Members lose nothing: each is shown the conversation that exists.",
        action="Look for a page or a client that sends the form twice.",
        judge=judges.duplicates,
        window_seconds=FIFTEEN_MINUTES,
        threshold=0.10,
        minimum=20,
    ),
    Rule(
        kind="creation_low",
        severity=Severity.WARNING,
        title="Some conversations cannot be started in V2",
        condition="under 95% of new V2 conversations succeed in 5 minutes",
        consequence="Some members in V2 cannot start a conversation.",
        action="Look at the errors by code.",
        over="No new failures in V2",
        judge=judges.creation_success,
        threshold=0.95,
        minimum=20,
        fewest=3,
        of_stage=True,
        silenced_by=(*_DATABASE, "error_rate"),
    ),
    Rule(
        kind="v1_creation_low",
        severity=Severity.WARNING,
        title="Some conversations cannot be started in V1",
        condition="under 95% of new V1 conversations succeed in 5 minutes",
        consequence="Some members outside V2 cannot start a conversation.",
        action="Look at the errors by code.",
        over="No new failures in V1",
        judge=judges.v1_creation_success,
        threshold=0.95,
        minimum=20,
        fewest=3,
        silenced_by=(*_DATABASE, "error_rate"),
    ),
    # What is found elsewhere, and has no judge here.
    Rule(
        kind="members_cannot_start",
        severity=Severity.CRITICAL,
        title="Nobody can start a conversation",
        condition="V1 is frozen while V2 is off, by its stage or because no guard watches",
        consequence="Every offer of help is refused; members are asked to try again later.",
        action="Start the guard, or turn V1 writes on in the control room.",
        over="Members can start conversations again",
        quiet_seconds=None,
    ),
    Rule(
        kind="v2_tables_missing",
        severity=Severity.CRITICAL,
        title="V2's tables are missing",
        condition="conversations_v2 or messages_v2 is not in the database",
        consequence="Conversations in V2 cannot be seen.",
        action=RESTORE_V2,
        over="V2's tables are there again",
        quiet_seconds=None,
    ),
    Rule(
        kind="guard_absent",
        severity=Severity.WARNING,
        title="No guard watches the rollout",
        condition="no guard for over a minute; critical while V2 is meant to be on",
        consequence="Nobody watches V1 either.",
        action="Start the guard (`manage.py guard`) and see why it had ended.",
        over="A guard watches again",
        quiet_seconds=None,
        silenced_by=("members_cannot_start",),
    ),
    Rule(
        kind="worker_absent",
        severity=Severity.WARNING,
        title="The worker is gone or hangs",
        condition="no sign of life from the worker for over a minute, or a task of it hangs",
        consequence="Mail to members and clean-up wait. The guard sends the alerts meanwhile.",
        action="Start the worker (`manage.py worker`) and see why it had ended.",
        over="The worker works again",
        quiet_seconds=None,
    ),
    Rule(
        kind="mail_failing",
        severity=Severity.WARNING,
        title="Mail to members does not go out",
        condition="three mails failed and none went out since, or one has waited for over 15 minutes",
        consequence="Members do not hear of new messages and get no links for a new password. Nothing is lost for three days.",
        action="Look at the mail server and at EMAIL_URL. Each mail and its reason: /admin/mail/outgoingmail/.",
        over="Mail goes out again",
        quiet_seconds=None,
        silenced_by=("worker_absent",),
    ),
    Rule(
        kind="mail_given_up",
        severity=Severity.WARNING,
        title="Mail to a member was given up",
        condition="a mail was refused for ever, or tried for three days, within the last 24 hours",
        consequence="The member was not told what they wait for.",
        action="See to whom and why at /admin/mail/outgoingmail/, and try again there once the cause is gone.",
        over="No mail was given up for 24 hours, or it was tried again",
        quiet_seconds=None,
    ),
    Rule(
        kind="restore_drill_failed",
        severity=Severity.WARNING,
        title="A backup could not be restored",
        condition="the latest restore drill failed, by the worker or by `manage.py restore --verify`",
        consequence="If the database were lost now, the backup might not bring it back.",
        action="Make another and try it: `manage.py backup`, then `manage.py restore latest --verify`.",
        over="A restore drill succeeded",
        quiet_seconds=None,
    ),
    Rule(
        kind="restore_drill_overdue",
        severity=Severity.WARNING,
        title="No backup was tried for too long",
        condition="no restore drill succeeded for a day more than RESTORE_DRILL_DAYS",
        consequence="Nobody knows whether the backups bring the database back.",
        action="Try the newest: `manage.py restore latest --verify`, with `--identity KEY` where they are encrypted.",
        over="A restore drill succeeded",
        quiet_seconds=None,
        silenced_by=("restore_drill_failed", "worker_absent"),
    ),
    Rule(
        kind="guard_rollback",
        severity=Severity.CRITICAL,
        title="The guard turned V2 off",
        condition="every rollback by the guard",
        action="See that V1 serves members. Find the cause and file it in the control room before V2 is turned on again.",
        over="No new failures",
        quiet_seconds=FIVE_MINUTES,
    ),
    Rule(
        kind="changed_from_outside",
        severity=Severity.CRITICAL,
        title="The rollout was changed from outside",
        condition="every change of the rollout that did not go through the application",
        action="Find out who made it. Acknowledge it in the control room, or roll back.",
        quiet_seconds=None,
        ends_when_acknowledged=True,
    ),
    Rule(
        kind="stage_changed",
        severity=Severity.NOTICE,
        title="The rollout was changed",
        condition="every change of the rollout by a person",
        action="Nothing to do, if you know of it.",
    ),
)
_BY_KIND = {rule.kind: rule for rule in RULES}


def evaluate_rules(evidence: Evidence) -> tuple[Finding, ...]:
    """Judge the evidence by every rule; what turns V2 off comes first."""
    return tuple(finding for rule in RULES if rule.judge and (finding := rule.judge(rule, evidence)) is not None)


def is_known(kind: str) -> bool:
    """Tell whether a rule has this kind; an earlier release may have had others."""
    return kind in _BY_KIND


def rule_of(kind: str) -> Rule:
    """Return the rule of a kind; for an unknown kind, a bare rule that is titled by it."""
    return _BY_KIND.get(kind) or Rule(kind=kind, severity=Severity.WARNING, title=kind, condition="", action="")
