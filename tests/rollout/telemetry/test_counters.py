"""What Prometheus reads, and that rules and dashboard ask for nothing that is not there."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings as django_settings
from django.db import OperationalError, connection
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from carecollective.observability import metric_files
from carecollective.web.access import DURATION_BUCKETS, counted
from rollout.dashboard import prometheus
from rollout.targeting.state import UNKNOWN
from rollout.telemetry import counters
from rollout.telemetry.outcomes import Method, Outcome
from tests.waiting import wait_for

OPERATIONS = django_settings.BASE_DIR / "docs/operations"
HOMES = (Path("/dev/shm"), Path(os.environ["DATA_DIR"]))
NAME = re.compile(r"carecollective_\w+|\bup\b")


DURATION = "carecollective_operation_duration_seconds"
SLOW_CALLS = [
    (f"{DURATION}_{name}", (*bound, ("method", method), ("outcome", outcome.value), ("version", version)))
    for name, bound in (("count", ()), ("bucket", (("le", "5.0"),)))
    for method in ("startHelpConversation", "sendMessage")
    for outcome in Outcome
    for version in ("v1", "v2", "none")
]


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(metric_files.FOLDER_VARIABLE, raising=False)


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def names_in(text: str) -> set[str]:
    return {name for name, _labels in samples(text)}


def test_the_state_of_the_rollout_is_there(db, client, stage, offer):
    stage("percentage:12.5")
    offer()
    text = client.get("/metrics").content.decode()
    found = samples(text)
    assert found["carecollective_rollout_stage", (("stage", "percentage"),)] == 1
    assert found["carecollective_rollout_stage", (("stage", "enabled"),)] == 0
    assert found["carecollective_rollout_percent", ()] == 12.5
    assert found["carecollective_rollout_v1_writes", ()] == 1
    assert found["carecollective_database_up", ()] == 1
    assert found["carecollective_open_alerts", (("kind", "slow_call"), ("severity", "critical"))] == 0
    assert sum(found["carecollective_conversations_active", (("version", one),)] for one in ("v1", "v2")) == 1


def test_operations_are_counted_by_version_method_outcome_and_code(event):
    labels = (("code", "database_error"), ("method", "sendMessage"), ("outcome", "failed"), ("version", "v2"))
    before = samples(generate_latest(counted).decode())
    counters.observe(
        event(outcome=Outcome.FAILED, error_code="database_error", connection_error=True, duration_ms=300.0)
    )
    after = samples(generate_latest(counted).decode())
    assert after["carecollective_operations_total", labels] == before["carecollective_operations_total", labels] + 1
    name = "carecollective_connection_errors_total", ()
    assert after[name] == before[name] + 1
    bucket = "carecollective_operation_duration_seconds_bucket", (("le", "0.5"), *labels[1:])
    assert after[bucket] == before.get(bucket, 0) + 1


def test_without_the_database_the_counters_are_still_there(client, monkeypatch):
    def fail(**given: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr("rollout.telemetry.metrics.active_conversations", fail)
    monkeypatch.setattr("rollout.targeting.snapshot._query", lambda: UNKNOWN)
    text = prometheus.render().decode()
    assert samples(text)["carecollective_database_up", ()] == 0
    assert "carecollective_operations_total" in names_in(text)
    assert "carecollective_rollout_stage" not in names_in(text)


@pytest.mark.parametrize(
    ("token", "allow", "asked", "status"),
    [
        ("", ["127.0.0.0/8"], {}, 200),
        ("", [], {}, 403),
        ("", ["10.0.0.0/8"], {}, 403),
        ("", ["10.0.0.0/8"], {"REMOTE_ADDR": "10.1.2.3"}, 200),
        ("", ["127.0.0.0/8"], {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 403),
        ("", ["127.0.0.0/8"], {"HTTP_FORWARDED": "for=127.0.0.1"}, 403),
        ("", ["127.0.0.0/8"], {"REMOTE_ADDR": ""}, 403),
        ("", [], {"HTTP_AUTHORIZATION": "Bearer "}, 403),
        ("secret", [], {"HTTP_AUTHORIZATION": "Bearer secret"}, 200),
        ("secret", [], {"HTTP_AUTHORIZATION": "Bearer secret", "HTTP_X_FORWARDED_FOR": "8.8.8.8"}, 200),
        ("secret", [], {"HTTP_AUTHORIZATION": "Bearer wrong"}, 403),
        ("secret", [], {"HTTP_AUTHORIZATION": "Bearer sécret"}, 403),
    ],
)
def test_only_prometheus_may_read(db, client, settings, token, allow, asked, status):
    settings.METRICS_TOKEN = token
    settings.METRICS_ALLOW = [ip_network(network) for network in allow]
    response = client.get("/metrics", **asked)
    assert response.status_code == status
    if status == 403:
        assert response.json()["error"]["code"] == "permission_denied"


def test_nothing_is_posted_there(db, client):
    assert client.post("/metrics").status_code == 405


@pytest.fixture
def known(db: None, client: Any, beyond_policies: Any, offer: Any, stage: Any) -> set[str]:
    """Every series' name that a site with some life in it has."""
    stage("enabled")
    offer()
    client.get("/help")
    with beyond_policies() as cursor:
        cursor.execute("DELETE FROM rollout_guard_lease")
        cursor.execute(
            "INSERT INTO rollout_guard_lease (id, holder, renewed_at) VALUES (1, 'a guard', clock_timestamp())"
        )
        cursor.execute("DELETE FROM core_workerheartbeat")
        cursor.execute("INSERT INTO core_workerheartbeat (name, beat_at) VALUES ('worker', clock_timestamp())")
    # `up` is Prometheus' own.
    return names_in(prometheus.render().decode()) | {"up"}


def test_the_rules_ask_for_series_that_exist(known):
    rules = [
        rule
        for group in yaml.safe_load((OPERATIONS / "alerts.rules.yml").read_text())["groups"]
        for rule in group["rules"]
    ]
    assert len(rules) >= 7
    for rule in rules:
        asked = set(NAME.findall(rule["expr"]))
        assert asked, rule["alert"]
        assert asked <= known, rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_the_rules_ask_for_labels_and_buckets_that_exist(known):
    text = (OPERATIONS / "alerts.rules.yml").read_text() + (OPERATIONS / "grafana-dashboard.json").read_text()
    assert set(re.findall(r'method!?=\\?"(\w+)', text)) <= {method.value for method in Method}
    assert set(re.findall(r'le=\\?"([\d.]+)', text)) <= {str(bucket) for bucket in DURATION_BUCKETS}
    outcomes = {one for found in re.findall(r'outcome=~?\\?"([\w|]+)', text) for one in found.split("|")}
    assert outcomes == {outcome.value for outcome in Outcome}


def test_the_dashboard_asks_for_series_that_exist(known):
    dashboard = json.loads((OPERATIONS / "grafana-dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) >= 12
    for expression in expressions:
        asked = set(NAME.findall(expression))
        assert asked
        assert asked <= known, expression
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def ask(port: int, path: str) -> str:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request("GET", path)
        answer = link.getresponse()
        assert answer.status == 200, answer.read()
        return answer.read().decode()
    finally:
        link.close()


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_workers_counters_are_added_up_and_outlive_a_worker(committed_db, connect_as, tmp_path):
    parameters = {
        name: connection.settings_dict[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
    }
    web = connect_as("web").info
    # A genuine web role: the site refuses to start as a superuser who only took the role on.
    parameters |= {"USER": web.user, "PASSWORD": web.password, "OPTIONS": {"server_side_binding": True}}
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "MEASURED_DATABASE": json.dumps(parameters),
    }
    command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "tests.rollout.telemetry.measured_site:application"]
    said = tmp_path / "output"
    with said.open("w") as output, socket.socket() as door:
        # Handed over while it is bound: a port that was given back may be somebody else's by then.
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
        master = subprocess.Popen(
            [*command, "--workers=2", f"--bind=fd://{door.fileno()}", "--graceful-timeout=2"],
            pass_fds=[door.fileno()],
            env=environment,
            cwd=django_settings.BASE_DIR,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def counted() -> float:
        labels = (("code", ""), ("method", "sendMessage"), ("outcome", "success"), ("version", "v2"))
        return samples(ask(port, "/metrics"))["carecollective_operations_total", labels]

    def waiting() -> float:
        return samples(ask(port, "/metrics"))["carecollective_events_waiting", ()]

    def answers() -> bool:
        assert master.poll() is None, said.read_text()
        try:
            return bool(ask(port, "/metrics"))
        except OSError:
            return False

    def count_in_both(*, at_least: int) -> tuple[set[int], int]:
        # On a busy machine the second worker is there a while after the first.
        pids, asked, deadline = set[int](), 0, time.monotonic() + 60
        while len(pids) < 2 or asked < at_least:
            pids.add(int(ask(port, "/count")))
            asked += 1
            assert time.monotonic() < deadline
        return pids, asked

    superuser, locker = connect_as("superuser", autocommit=True), connect_as("superuser")
    try:
        wait_for(answers, seconds=60)
        assert counted() == 0
        begun = samples(ask(port, "/metrics"))
        for name, labels in SLOW_CALLS:
            # Prometheus does not see a first step from nothing, and one slow call is an alarm.
            assert begun[name, labels] == 0
        _pids, asked = count_in_both(at_least=60)
        assert counted() == asked
        locker.execute("LOCK TABLE application_logs IN ACCESS EXCLUSIVE MODE")
        pids, more = count_in_both(at_least=4)
        wait_for(lambda: waiting() >= more, seconds=10)
        locker.rollback()
        wait_for(lambda: waiting() == 0, seconds=20)
        asked += more
        assert counted() == asked
        route = (("method", "GET"), ("route", "/metrics"), ("status", "200"))
        answered = samples(ask(port, "/metrics"))["carecollective_http_requests_total", route]
        os.kill(min(pids), signal.SIGTERM)
        wait_for(lambda: not is_there(min(pids)), seconds=20)
        assert counted() == asked
        # Answers of both workers, of which one is no more.
        assert samples(ask(port, "/metrics"))["carecollective_http_requests_total", route] >= answered + 2
        (home,) = (found for home in HOMES for found in home.glob(f"carecollective-metrics-{master.pid}-*"))
        wait_for(lambda: (home / "counter_0.db").exists() and not list(home.glob(f"*_{min(pids)}.db")), seconds=20)
        ask(port, "/count")
    finally:
        master.send_signal(signal.SIGTERM)
        assert master.wait(30) == 0
    # By its name: an event of another test that was late in the spool is not this site's.
    counting = "SELECT count(*) FROM application_logs WHERE request_id = 'measured-site'"
    assert superuser.execute(counting).fetchone() == (asked + 1,)
    lines = [json.loads(line) for line in said.read_text().splitlines() if '"measured-site"' in line]
    assert len(lines) == asked + 1
    assert not [left for home in HOMES for left in home.glob(f"carecollective-metrics-{master.pid}-*")]
