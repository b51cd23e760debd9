"""What Prometheus alarms about when the site, the guard or the worker is gone, on recorded series."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from rollout.alerts.rules import RULES
from tests.rollout.guard.promql import evaluate

RULES_FILE: Path = settings.BASE_DIR / "docs/operations/alerts.rules.yml"
# What needs no history of counters, and can be evaluated without promtool.
OF_NOW = {
    *("SiteAbsent", "DatabaseAway", "GuardAbsent", "GuardAbsentWhileDisabled", "GuardNeverSeen"),
    *("WorkerAbsent", "WorkerNeverSeen", "OpenAlert", "OpenWarning"),
}
UP = 'up{job="carecollective"}'
DISABLED = 'carecollective_rollout_stage{stage="disabled"}'
LEASE, BEAT = "carecollective_guard_lease_age_seconds", "carecollective_worker_heartbeat_age_seconds"


def opened(kind: str, severity: str = "critical") -> str:
    return f'carecollective_open_alerts{{kind="{kind}",severity="{severity}"}}'


WELL = {
    UP: 1.0, DISABLED: 1.0, 'carecollective_rollout_stage{stage="enabled"}': 0.0, LEASE: 3.0, BEAT: 2.0,
    "carecollective_database_up": 1.0, opened("slow_call"): 0.0, opened("integrity"): 0.0,
    opened("latency", "warning"): 0.0, "carecollective_events_waiting": 0.0, "carecollective_events_dropped": 0.0,
}  # fmt: skip
V2_ON = {DISABLED: 0.0, 'carecollective_rollout_stage{stage="enabled"}': 1.0}
NOTHING_SCRAPED: dict[str, float | None] = dict.fromkeys(WELL)

SCENARIOS: dict[str, tuple[dict[str, float | None], set[str]]] = {
    "all well at disabled": ({}, set()),
    "all well at enabled": ({**V2_ON}, set()),
    "the site does not answer": ({**NOTHING_SCRAPED, UP: 0.0}, {"SiteAbsent"}),
    "the site was never scraped": (NOTHING_SCRAPED, {"SiteAbsent"}),
    "the database is away": (
        {DISABLED: None, LEASE: None, BEAT: None, "carecollective_database_up": 0.0}, {"DatabaseAway"},
    ),
    "the guard is gone at disabled": ({LEASE: 61.0}, {"GuardAbsentWhileDisabled"}),
    "the guard is gone at enabled": ({**V2_ON, LEASE: 61.0}, {"GuardAbsent"}),
    "no guard ever ran": ({LEASE: None}, {"GuardNeverSeen"}),
    "the worker is gone": ({BEAT: 61.0}, {"WorkerAbsent"}),
    "no worker ever ran": ({BEAT: None}, {"WorkerNeverSeen"}),
    "a slow call at disabled": ({opened("slow_call"): 1.0}, {"OpenAlert"}),
    "broken V2 rows at disabled": ({opened("integrity"): 1.0}, set()),
    "broken V2 rows at enabled": ({**V2_ON, opened("integrity"): 1.0}, {"OpenAlert"}),
    "the guard turned V2 off": ({opened("guard_rollback"): 1.0}, {"OpenAlert"}),
    "sending is slow": ({opened("latency", "warning"): 1.0}, {"OpenWarning"}),
}  # fmt: skip


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES_FILE.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def recorded(changes: dict[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in {**WELL, **changes}.items() if value is not None}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_gone_is_alarmed_and_nothing_else(scenario: str) -> None:
    changes, expected = SCENARIOS[scenario]
    firing = {name for name in OF_NOW if evaluate(rules()[name]["expr"], recorded(changes))}
    assert firing == expected


def test_nothing_of_v2_is_critical_at_disabled() -> None:
    about_v2 = {"integrity", "creation_failing", "failures_in_sequence"}
    assert {rule.kind for rule in RULES if rule.disables_v2} == about_v2
    for name, rule in rules().items():
        names_v2 = 'version="v2"' in rule["expr"] or "guard_lease" in rule["expr"]
        if rule["labels"]["severity"] == "critical" and names_v2:
            assert 'max(carecollective_rollout_stage{stage="disabled"}) == 0' in rule["expr"], name
    named = re.findall(r'kind[!=]~"([^"]*)"', rules()["OpenAlert"]["expr"])
    assert [set(one.split("|")) for one in named] == [about_v2, about_v2]


needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on PATH")


def promtool(*arguments: str) -> str:
    run = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


@needs_promtool
def test_promtool_takes_the_rules() -> None:
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", str(RULES_FILE))


@needs_promtool
def test_promtool_sees_the_same_alarms(tmp_path: Path) -> None:
    tests = []
    for scenario, (changes, expected) in SCENARIOS.items():
        tests.append(
            {
                "name": scenario,
                "interval": "15s",
                "input_series": [
                    {"series": name, "values": f"{value}x60"} for name, value in recorded(changes).items()
                ],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                        "eval_time": "10m",
                        "exp_samples": [{"labels": "{}", "value": float(name in expected)}],
                    }
                    for name in rules()
                ],
            }
        )
    written = tmp_path / "alarms.yml"
    written.write_text(yaml.safe_dump({"rule_files": [str(RULES_FILE)], "evaluation_interval": "15s", "tests": tests}))
    promtool("test", "rules", str(written))


@needs_promtool
@pytest.mark.parametrize(("version", "disabled", "firing"), [
    ("v1", 1, {"LegacyConversationCreationFailing"}), ("v2", 0, {"ConversationCreationFailing"}), ("v2", 1, set()),
])  # fmt: skip
def test_promtool_sees_failing_starts_of_each_version(
    tmp_path: Path, version: str, disabled: int, firing: set[str]
) -> None:
    counter = f'carecollective_operations_total{{version="{version}",method="startHelpConversation"'
    series = {
        f'{counter},outcome="success",code=""}}': "0x40", f'{counter},outcome="failed",code="database_error"}}': "0+1x40",
        DISABLED: f"{disabled}x40", UP: "1x40",
    }  # fmt: skip
    names = ("LegacyConversationCreationFailing", "ConversationCreationFailing")
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                "eval_time": "9m",
                "exp_samples": [{"labels": "{}", "value": float(name in firing)}],
            }
            for name in names
        ],
    }
    written = tmp_path / "failing.yml"
    written.write_text(yaml.safe_dump({"rule_files": [str(RULES_FILE)], "evaluation_interval": "15s", "tests": [test]}))
    promtool("test", "rules", str(written))
