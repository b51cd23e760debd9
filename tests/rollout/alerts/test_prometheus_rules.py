"""The rules for Prometheus have the same limits as the guard's own table."""

import re
from collections import Counter
from typing import Any

import pytest
import yaml
from django.conf import settings

from rollout.alerts.evidence import Rule
from rollout.alerts.rules import RULES, rule_of
from rollout.targeting.guard_lease import GUARD_LEASE_SECONDS

KINDS = {
    "ConversationCreationFailing": "creation_failing",
    "CallOverFiveSeconds": "slow_call",
    "DatabaseConnectionErrors": "connection_errors",
    "GuardAbsent": "guard_absent",
    "ElevatedErrorRate": "error_rate",
    "HighLatency": "latency",
    "DuplicateConversationAttempts": "duplicates",
    "ConversationCreationBelowTarget": "creation_low",
    "LegacyConversationCreationFailing": "v1_creation_failing",
    "LegacyConversationCreationBelowTarget": "v1_creation_low",
}
# What no counter tells, and what only somebody outside can see.
THE_GUARDS_ALONE = {"integrity", "failures_in_sequence", "refusals"}
# What is no figure: a change of the rollout, and a process that another one of ours watches.
NOTED_ELSEWHERE = {
    "guard_rollback",
    "changed_from_outside",
    "stage_changed",
    "worker_absent",
    "members_cannot_start",
    "v2_tables_missing",
    *("mail_failing", "mail_given_up"),
    *("restore_drill_failed", "restore_drill_overdue"),
}
OUTSIDE_ALONE = {
    *("DatabaseAway", "EventsNotWritten", "SiteAbsent", "OpenAlert", "OpenWarning"),
    *("GuardAbsentWhileDisabled", "GuardNeverSeen", "WorkerAbsent", "WorkerNeverSeen"),
}
ONLY_WHILE_V2_IS_ON = re.compile(r"\s*and max\(carecollective_rollout_stage\{stage=\"disabled\"\}\) == 0")
BY_VERSION_AND_TOGETHER = {"error_rate", "latency"}
START, SEND, NO_REQUEST = '="startHelpConversation"', '="sendMessage"', '!="request"'

OPERATIONS = {
    "creation_failing": {START},
    "creation_low": {START},
    "v1_creation_failing": {START},
    "v1_creation_low": {START},
    "duplicates": {START},
    "latency": {SEND},
    "error_rate": {NO_REQUEST},
}


def asked() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((settings.BASE_DIR / "docs/operations/alerts.rules.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def limits(rule: Rule) -> set[tuple[str, float]]:
    """Return what the guard compares with for this rule, in Prometheus' units."""
    sample = {(">=", rule.minimum), (">=", rule.fewest)}
    match rule.kind:
        case "creation_failing" | "creation_low" | "v1_creation_failing" | "v1_creation_low":
            return {("<", rule.threshold), *sample}
        case "error_rate" | "duplicates":
            return {(">", rule.threshold), *sample}
        case "latency":
            return {(">", rule.threshold / 1000), (">=", rule.minimum)}
        case "slow_call":
            return {(">", rule.minimum - 0.5)}
        case "connection_errors":
            return {(">", rule.threshold)}
        case "guard_absent":
            return {(">", GUARD_LEASE_SECONDS)}
    raise AssertionError(rule.kind)


def test_every_rule_of_the_one_table_stands_in_the_other() -> None:
    assert asked().keys() == KINDS.keys() | OUTSIDE_ALONE
    assert {rule.kind for rule in RULES} == set(KINDS.values()) | THE_GUARDS_ALONE | NOTED_ELSEWHERE


@pytest.mark.parametrize(("alert", "kind"), KINDS.items())
def test_thresholds_samples_windows_and_operations_are_the_guards(alert: str, kind: str) -> None:
    found, rule = asked()[alert], rule_of(kind)
    bare = re.sub(r"\{.*?\}", "", ONLY_WHILE_V2_IS_ON.sub("", found["expr"]))
    compared = Counter((sign, float(limit)) for sign, limit in re.findall(r"([<>]=?|==)\s*([\d.]+)", bare))
    assert compared == dict.fromkeys(limits(rule), 2 if kind in BY_VERSION_AND_TOGETHER else 1)
    windows = {60 * int(minutes) for minutes in re.findall(r"\[(\d+)m\]", found["expr"])}
    assert windows == (set() if kind == "guard_absent" else {rule.window_seconds})
    assert set(re.findall(r'method([=!~]+"[^"]*")', found["expr"])) == OPERATIONS.get(kind, set())
    assert "for" not in found
    if kind != "guard_absent":
        assert found["labels"]["severity"] == rule.severity


def test_what_is_slow_is_what_the_guard_calls_slow() -> None:
    rule = rule_of("slow_call")
    (bound,) = re.findall(r'le="([\d.]+)"', asked()["CallOverFiveSeconds"]["expr"])
    assert float(bound) == rule.threshold / 1000


def test_the_slow_twentieth_is_the_ninety_fifth_percentile() -> None:
    assert set(re.findall(r"histogram_quantile\(([\d.]+),", asked()["HighLatency"]["expr"])) == {"0.95"}
