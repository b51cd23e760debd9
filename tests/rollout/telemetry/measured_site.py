"""The site as gunicorn loads it, on the database of the test that started this; `/count` records one event."""

import json
import os
import time
from uuid import uuid4

from django.conf import settings

settings.DATABASES["default"] |= json.loads(os.environ["MEASURED_DATABASE"])
settings.ROLLOUT_SNAPSHOT = settings.ROLLOUT_EVENTS = "thread"

from carecollective.wsgi import application as site  # noqa: E402
from rollout.telemetry import events  # noqa: E402
from rollout.telemetry.outcomes import Event, Method, Outcome  # noqa: E402
from rollout.versions import MessagingVersion  # noqa: E402


def application(environ, start_response):
    if environ["PATH_INFO"] != "/count":
        return site(environ, start_response)
    events.record(
        Event(
            key=uuid4(),
            method=Method.SEND,
            outcome=Outcome.SUCCESS,
            error_code=None,
            version=MessagingVersion.V2,
            stage="enabled",
            duration_ms=3.0,
            request_id="measured-site",
            user_id=None,
            conversation_id=None,
            help_request_id=None,
            connection_error=False,
            ended_at=time.monotonic(),
        )
    )
    start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [str(os.getpid()).encode()]
