"""The rollout on the command line."""

import json
import os
import pwd
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from carecollective.core.errors import DomainError, TableMissing, as_domain_error
from carecollective.core.text import one_line
from rollout.alerts import notifications
from rollout.alerts.channels import configured_channels
from rollout.dashboard.rollback_report import read_report
from rollout.dashboard.schema import Badge, Figure, RolloutStatus, TimelineEntry
from rollout.dashboard.status import as_drain, read_status
from rollout.errors import PromotionRefused
from rollout.models import Change, Source
from rollout.plain import as_plain
from rollout.promotion import audit_log, automated_checks, drain, services
from rollout.promotion.acceptance import judge_acceptance
from rollout.promotion.sign_offs import ChecklistItem
from rollout.releases import current_release
from rollout.stages import DISABLED, Stage
from rollout.targeting import preview as targeting_preview
from rollout.targeting import snapshot
from rollout.targeting.state import environment_disables

EVENTS_SHOWN = 10
OVERRIDDEN = "MESSAGING_V2_ROLLOUT=disabled overrides this: V2 stays off until it is unset."


class Command(BaseCommand):
    help = "Show and move the rollout of V2, with the rules and the record of the control room."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="action")
        actions.add_parser("status", help="all that the control room shows")
        stage = actions.add_parser("stage", help="move to a stage")
        stage.add_argument("stage", help="disabled, internal, percentage:N or enabled")
        stage.add_argument(
            "--override", action="store_true", help="pass over what is missing; the record shows what that was"
        )
        back = actions.add_parser("rollback", help="turn V2 off and V1 writes on, for everybody")
        who = actions.add_parser("explain", help="which version a member's new conversation uses, and why")
        who.add_argument("email")
        preview = actions.add_parser("preview", help="who would enter at a stage")
        preview.add_argument("stage", help="disabled, internal, percentage:N or enabled")
        preview.add_argument("--all", action="store_true", help="name every member, not only the first ten")
        actions.add_parser("drain", help="prove that no start in V2 is still on its way")
        test = actions.add_parser("test-alert", help="send a test message over each channel that is set up")
        test.add_argument("--channel", default="", help="over this one alone: slack, email, sentry or webhook")
        actions.add_parser("acceptance", help="the final acceptance, line by line")
        record = actions.add_parser("audit", help="the record of changes, and whether it is whole")
        record.add_argument("--verify", action="store_true", help="check the chain of hashes from its beginning")
        record.add_argument(
            "--head", default="", help="with --verify: a hash noted down earlier, which must still be there"
        )
        record.add_argument("--last", type=int, default=20, help="how many changes to list")
        for action in (stage, back):
            action.add_argument("--reason", required=True, help="kept in the record")
        for action in actions.choices.values():
            action.add_argument("--json", action="store_true", help="answer in JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            facts, sentences = getattr(self, f"_{options['action'].replace('-', '_')}")(options)
        except PromotionRefused as refusal:
            raise CommandError(
                "\n- ".join([f"{refusal.message} Missing, unless you --override:", *refusal.missing])
            ) from None
        except DomainError as refusal:
            raise CommandError(str(refusal.message)) from None
        except DatabaseError as problem:
            known = as_domain_error(problem)
            if known is None:
                raise
            raise CommandError(_describe(problem, known)) from None
        if options["json"]:
            self.stdout.write(json.dumps(facts, default=str))
        else:
            self.stdout.write("\n".join(sentences))

    def _status(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        if not snapshot.current().fresh:
            raise CommandError("The rollout's state cannot be read, so V2 is off.")
        found = read_status()
        return as_plain(found), [*status_lines(found), *_notice()]

    def _stage(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        stage = _parse(options["stage"])
        if stage == DISABLED:
            return self._rollback(options)
        change = services.change_stage(
            actor=None,
            stage=stage,
            reason=options["reason"],
            source=Source.COMMAND,
            override=options["override"],
            actor_label=_operator(),
        )
        return _facts_of(change), [_sentence_of(change), *_notice()]

    def _rollback(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        change = services.roll_back(
            actor=None, reason=options["reason"], source=Source.COMMAND, actor_label=_operator()
        )
        report = read_report(change)
        facts = _facts_of(change) | {"recorded": change.is_recorded} | as_plain(report)
        said = [f"{heading}: {words}" for heading, words in report.lines]
        return facts, [_sentence_of(change), *said, *_notice()]

    def _drain(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        attempt = drain.certify(flag_version=snapshot.read_now().version)
        if not attempt.certified:
            raise CommandError(attempt.words)
        return as_plain(as_drain(attempt)), [attempt.words]

    def _audit(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        if not options["verify"]:
            newest = list(Change.objects.all()[: options["last"]])
            return {"changes": [_facts_of(change) for change in newest]}, [_sentence_of(change) for change in newest]
        found = audit_log.verify(expected_head=options["head"])
        if not found.intact:
            if options["json"]:
                self.stdout.write(json.dumps({"intact": False, "lines": found.lines, "problems": found.problems}))
            raise CommandError("\n".join(["The record is not what was written.", *found.problems]))
        facts = as_plain(found) | {"intact": True}
        sentences = [
            f"The record is whole: {found.lines} lines, each following from the one before.",
            found.head,
            f"Who proposed, approved, signed and was told: {found.entries} entries, none altered.",
            found.entries_head,
        ]
        if found.from_outside:
            sentences += ["Steps up from outside the application, approved by nobody:", *found.from_outside]
        return facts, sentences

    def _test_alert(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        names = [options["channel"]] if options["channel"] else list(configured_channels())
        if not names:
            raise CommandError(automated_checks.no_channel())
        sent = [notifications.send_test_message(channel=name, actor_label=_operator()) for name in names]
        lines = [
            f"{one.channel}: {'taken; see that it arrived' if one.delivered_at else f'failed, {one.error}'}"
            for one in sent
        ]
        if not any(one.delivered_at for one in sent):
            raise CommandError("\n".join(["No test message was taken.", *lines]))
        return {"sent": as_plain(sent)}, lines

    def _acceptance(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        items = judge_acceptance()
        missing = sum(not item.passed for item in items)
        facts = {"accepted": not missing, "release": current_release(), "items": as_plain(items)}
        lines = [f"{item.number}. {_item(item)}" for item in items]
        return facts, [*lines, f"{missing} of {len(items)} are open." if missing else "Accepted."]

    def _explain(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        found = targeting_preview.explain_member(options["email"])
        if found is None:
            raise CommandError(f"No member has the e-mail address {options['email']!r}.")
        decision = found.decision
        facts = as_plain(decision) | {"email": found.email, "explanation": decision.reason.label}
        version = decision.version.upper() if decision.version else "no version (messaging_unavailable)"
        return facts, [
            f"{found.name} would start a conversation in {version}.",
            decision.reason.label,
            f"Stage: {decision.stage}. Bucket: {decision.bucket:,} of 100,000.",
        ]

    def _preview(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        found = targeting_preview.preview(_parse(options["stage"]))
        counts = {"entering": found.entering, "leaving": found.leaving, "sample": found.sample}
        facts = as_plain(found) | counts
        sentences = [
            f"From {found.current} to {found.stage}, of {found.members} members who can start a conversation:",
            f"{found.entering} would enter, {found.leaving} would leave.",
        ]
        if options["all"]:
            for title, members in (("Entering", found.entering_members), ("Leaving", found.leaving_members)):
                if members:
                    sentences.append(f"{title}:")
                    sentences += [f"  {one_line(one.name)} <{one.email}>" for one in members]
        elif found.sample:
            sentences.append(f"Among them: {', '.join(found.sample)}")
        return facts, sentences + _notice()


def _describe(problem: DatabaseError, refusal: DomainError) -> str:
    """Describe a database problem for the person who repairs it."""
    if not isinstance(refusal, TableMissing):
        return str(refusal.message)
    what = str(problem).splitlines()[0]
    return f"The database is not complete: {what}. `manage.py verify_messaging` says what to do."


def _parse(text: str) -> Stage:
    try:
        return Stage.parse(text)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _operator() -> str:
    # The system's own answer: what getpass asks first, LOGNAME and the like, is whatever the caller says.
    try:
        return f"{pwd.getpwuid(os.getuid()).pw_name} (system user)"
    except KeyError:  # a container may run as a number without a name
        return f"uid {os.getuid()} (system user)"


def _notice() -> list[str]:
    return [OVERRIDDEN] if environment_disables() else []


def _facts_of(change: Change) -> dict[str, Any]:
    return {
        "at": change.at.isoformat(),
        "actor": change.actor_label,
        "source": change.source,
        "from_stage": change.from_stage,
        "to_stage": change.to_stage,
        "from_v1_writes": change.from_v1_writes,
        "to_v1_writes": change.to_v1_writes,
        "reason": change.reason,
        "override": change.override,
        "version": change.flag_version,
        "hash": change.hash,
    }


def _sentence_of(change: Change) -> str:
    what = f"{change.from_stage or 'nothing'} to {change.to_stage or 'nothing'}" if change.is_recorded else "V2 is off"
    writes = "on" if change.to_v1_writes else "off"
    override = ", overriding the rules" if change.override else ""
    return (
        f"{change.at:%Y-%m-%d %H:%M:%S} UTC, {one_line(change.actor_label)}: {what}, V1 writes {writes}{override}. "
        f"{one_line(change.reason)}"
    )


def status_lines(status: RolloutStatus) -> Iterator[str]:
    """Put a status into lines for a terminal. What is empty is left out."""
    served, following = status.overview.v1_since_rollback, status.next_step
    facts = {
        "Stage": str(status.stage),
        "V1 writes": "on" if status.v1_writes else "off",
        "Health": f"{status.health.value.replace('_', ' ')}. {status.words}",
        "Rollback": status.unfinished,
        "V1": served.words if served else "",
        "Guard": status.guard.words,
        "Processes": status.switch.words,
        "Skipped on the way up": ", ".join(map(str, status.skipped)),
        "Drain": status.drain.words if status.drain else "",
    }
    yield from (f"{name}: {words}" for name, words in facts.items() if words)
    yield from _section("Open alerts", (f"{alert.severity}: {alert.words}" for alert in status.alerts))
    yield from _section("Gates of this stage", (f"{gate.state}: {gate.title}: {gate.words}" for gate in status.gates))
    yield from _section("What people say of this stage", map(_item, status.stage_sign_offs))
    if following:
        title = f"Before {following.stage}" + (", nothing but an approval" if following.ready else "")
        yield from _section(title, (blocker.words for blocker in following.blockers))
    if status.resume:
        yield status.resume.words
    yield from _section("Last 24 hours", map(_figure, status.figures.figures))
    yield from _section("Checklist", (f"{item.number}. {_item(item)}" for item in status.checklist))
    yield from _section(
        "Proposals", (f"{one.to_stage}, by {one.proposer}: {one_line(one.reason)}" for one in status.proposals)
    )
    yield from _section(
        "Root causes to file",
        (f"rollback from {one.from_stage}: {one_line(one.rollback_reason)}" for one in status.root_causes),
    )
    yield from _section("What happened", map(_entry, status.timeline[:EVENTS_SHOWN]))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    listed = [f"  {line}" for line in lines]
    if listed:
        yield f"{title}:"
        yield from listed


def _item(item: ChecklistItem) -> str:
    return f"{item.state}: {item.title}. {item.words}"


def _figure(figure: Figure) -> str:
    target = f", should be {figure.target}" if figure.target else ""
    return f"{figure.title}: {figure.shown}{target}. {figure.words}"


def _entry(entry: TimelineEntry) -> str:
    override = " [override]" if Badge.OVERRIDE in entry.badges else ""
    words = f". {one_line(entry.words)}" if entry.words else ""
    return f"{entry.at:%Y-%m-%d %H:%M:%S} UTC, {entry.who or entry.kind}: {entry.title}{override}{words}"
