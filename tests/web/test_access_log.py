"""Each answer is one line and one count, by route, and nothing that a client sent is in either."""

import json
import logging
from contextvars import copy_context
from uuid import uuid4

import pytest
from django.test import Client
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from carecollective.observability import metric_files, request_ids, sentry
from carecollective.observability.logging import JsonFormatter
from carecollective.web.access import counted


@pytest.fixture
def lines(caplog):
    """What the log holds so far, each line as it is printed."""
    caplog.set_level(logging.INFO)
    formatter = JsonFormatter()
    return lambda: [json.loads(formatter.format(record)) for record in caplog.records]


def count(**labels):
    return counted.get_sample_value("carecollective_http_requests_total", labels) or 0


ROUTE = "/requests/<uuid:help_request_id>"


def test_a_line_has_the_route_status_time_and_request_id(db, client, lines, help_request):
    asked = help_request()
    before = count(method="GET", route=ROUTE, status="200")
    client.get(f"/requests/{asked.pk}?from=a-letter", headers={"X-Request-ID": "of-the-caller"})
    (line,) = lines()
    assert (line["event"], line["logger"], line["log_level"]) == ("request", "carecollective.access", "info")
    assert (line["method"], line["route"], line["status"]) == ("GET", ROUTE, 200)
    assert line["request_id"] == "of-the-caller"
    assert 0 < line["duration_ms"] < 60_000
    assert str(asked.pk) not in json.dumps(line)
    assert "letter" not in json.dumps(line)
    assert count(method="GET", route=ROUTE, status="200") == before + 1
    bucket = {"route": ROUTE, "status_class": "2xx", "le": "+Inf"}
    assert counted.get_sample_value("carecollective_http_request_duration_seconds_bucket", bucket)


@pytest.mark.parametrize(
    ("method", "path", "status", "route"),
    [
        ("HEAD", "/requests", 200, "/requests"),
        ("HEAD", "/nowhere", 404, "none"),
        ("GET", "/requests/", 308, "none"),
        ("GET", "/messages", 302, "/messages"),
        ("OPTIONS", "/api/help-requests", 204, "/api/help-requests"),
        ("TRACE", "/requests", 405, "none"),
    ],
)
def test_whatever_is_asked_is_one_line(db, client, lines, method, path, status, route):
    client.generic(method, path)
    (line,) = lines()
    assert (line["route"], line["status"]) == (route, status)
    assert line["method"] == (method if method != "TRACE" else "other")


def test_a_refused_form_is_one_line_that_says_why(db, lines):
    Client(enforce_csrf_checks=True).post(
        "/login", {"username": "somebody@example.org", "password": "a secret of theirs"}
    )
    (line,) = lines()
    assert (line["route"], line["status"], line["reason"]) == ("/login", 403, "CSRF: CSRF cookie not set.")
    assert "secret" not in json.dumps(line)


def test_monitors_leave_no_line_while_all_is_well(db, client, lines):
    before = count(method="GET", route="/api/health/live", status="200")
    client.get("/api/health/live")
    client.get("/metrics")
    assert lines() == []
    assert count(method="GET", route="/api/health/live", status="200") == before + 1
    client.post("/metrics")
    assert [line["status"] for line in lines()] == [405]


def test_what_clients_make_up_adds_no_series(db, client):
    def series():
        return len(generate_latest(counted).splitlines())

    def ask():
        client.get(f"/{uuid4()}")
        client.get(f"/requests/{uuid4()}")
        client.generic(uuid4().hex[:8].upper(), "/requests")
        client.get(f"/static/{uuid4()}.js")

    ask()
    before = series()
    for _turn in range(20):
        ask()
    assert series() == before


def test_workers_that_ended_leave_one_file_of_each_kind(tmp_path, monkeypatch):
    monkeypatch.setenv(metric_files.FOLDER_VARIABLE, str(tmp_path))

    def work(pid):
        for kind, name in (("counter", "asked_total"), ("gauge_sum", "dropped"), ("gauge_livesum", "waiting")):
            file = MmapedDict(str(tmp_path / f"{kind}_{pid}.db"))
            file.write_value(mmap_key(name.removesuffix("_total"), name, ["route"], ["/a"], "What was."), 2.0, 0.0)
            file.close()

    def read():
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        names = ("asked_total", "dropped", "waiting")
        return [registry.get_sample_value(name, {"route": "/a"}) for name in names]

    for pid in range(101, 131):
        work(pid)
        assert read() == [2.0 * (pid - 100), 2.0 * (pid - 100), 2.0]
        metric_files.fold_ended(pid)
    assert read() == [60.0, 60.0, None]
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["counter_0.db", "gauge_sum_0.db"]


def test_an_error_report_names_the_request():
    def report():
        request_ids.adopt("of-this-request")
        return sentry.clean({"tags": {"version": "v2"}}, {})

    assert copy_context().run(report)["tags"]["request_id"] == "of-this-request"
