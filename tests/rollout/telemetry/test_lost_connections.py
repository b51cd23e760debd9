"""A database that is away is noticed by whatever request meets it first, and counted once for each."""

from django.db import OperationalError
from django.test import Client

from carecollective.core.errors import as_domain_error
from rollout.telemetry import events, metrics
from rollout.telemetry.metrics import Window
from rollout.telemetry.outcomes import Method


def test_a_request_that_cannot_reach_the_database_is_counted_once(db, settings, monkeypatch):
    settings.ROLLOUT_EVENTS = "memory"
    events.forget()

    def away(*args, **kwargs):
        raise OperationalError("connection is bad")

    monkeypatch.setattr("carecollective.help_requests.selectors.list_requests", away)
    client = Client(raise_request_exception=False)
    assert client.get("/requests").status_code == 503
    (event,) = events.recorded()
    assert (event.method, event.connection_error, event.error_code) == (Method.REQUEST, True, "database_error")
    events.flush()
    assert metrics.connection_errors(Window(60)) == 1
    assert metrics.outcomes(Window(60)).trials == 0


def test_an_error_is_counted_once(db, settings):
    settings.ROLLOUT_EVENTS = "memory"
    events.forget()
    lost = OperationalError("connection is bad")
    try:
        with events.measured(method=Method.SEND, member=None):
            raise lost
    except OperationalError as error:
        as_domain_error(error)
    assert [event.method for event in events.recorded()] == [Method.SEND]
