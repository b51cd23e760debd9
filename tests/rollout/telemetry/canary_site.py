"""A process in which everything fails that can, with canaries in all that a member gives. Prints what Sentry was sent."""

import json
import logging
import os
import sys

import django
from django.conf import settings

settings.DATABASES["default"] |= json.loads(os.environ["CANARY_DATABASE"])
settings.ROLLOUT_SNAPSHOT = settings.ROLLOUT_EVENTS = "thread"
settings.ALLOWED_HOSTS = ["testserver"]
django.setup()

from django.core.exceptions import ValidationError  # noqa: E402
from django.test import Client  # noqa: E402
from knox.models import AuthToken  # noqa: E402
from sentry_sdk.transport import Transport  # noqa: E402

from carecollective.accounts.models import User  # noqa: E402
from carecollective.messaging import offers  # noqa: E402
from carecollective.observability import sentry  # noqa: E402
from messaging_v2 import services as v2  # noqa: E402
from rollout.telemetry import events  # noqa: E402
from tests.factories import HelpRequestFactory, UserFactory  # noqa: E402

TEXT = os.environ["CANARY_TEXT"]
EMAIL = os.environ["CANARY_EMAIL"]
SENT: list[str] = []


class Box(Transport):
    def capture_envelope(self, envelope):
        SENT.append(envelope.serialize().decode())


sentry.start("http://key@127.0.0.1:1/1", transport=Box)
logger = logging.getLogger("canary")

member = UserFactory.create(email=EMAIL)
_token, key = AuthToken.objects.create(member)
print(f"TOKEN {key}", file=sys.stderr)
client = Client(raise_request_exception=False, headers={"Authorization": f"Token {key}"})


def offer(text=TEXT, query=""):
    address = f"/api/messaging/help-requests/{HelpRequestFactory.create().pk}/start-conversation{query}"
    answer = client.post(address, {"initial_message": text}, content_type="application/json")
    return answer.status_code, answer.json()


# What goes well, and what is refused.
status, started = offer()
assert status == 201, started
thread = f"/api/messaging/conversations/{started['conversation_id']}/messages"
assert client.post(thread, {"content": TEXT}, content_type="application/json").status_code == 201
assert offer(TEXT * 100)[0] == 400


# What the database refuses, quoting the whole row: as an unhandled error, with more in the address.
def swell(text, **given):
    return text * 100


normalise = vars(v2)["normalise_message"]
for module in (offers, v2):
    vars(module)["normalise_message"] = swell
assert offer(query=f"?from={TEXT.split()[0]}&mail={EMAIL}")[0] == 500
assert client.post(thread, {"content": TEXT}, content_type="application/json").status_code == 500
for module in (offers, v2):
    vars(module)["normalise_message"] = normalise

# The same as log lines, and others that quote.
attempts = (
    lambda: UserFactory.create(email=EMAIL),
    lambda: User.objects.extra(where=["id::text = %s AND id = %s::uuid"], params=[TEXT, TEXT]).count(),
    lambda: User.objects.get(pk=TEXT),
    lambda: (_ for _ in ()).throw(ValidationError(f"“{TEXT}” is not a name, {EMAIL} is not an address")),
)
for number, attempt in enumerate(attempts):
    try:
        attempt()
    except Exception as problem:
        logger.exception("attempt %s of %s failed: %s", number, EMAIL, problem, extra={"member": EMAIL})
    else:
        raise AssertionError(number)
logger.error("with Authorization: Token %s and Bearer %s at /api/x?q=%s", key, key, TEXT.split()[0])

# Who cannot sign in.
for _ in range(7):
    client.post("/login", {"username": EMAIL, "password": "wrong"})
Client(headers={"Authorization": f"Token {key[::-1]}"}).get("/api/messaging/conversations")

assert events.flush(5)
print(f"SENTRY {len(SENT)}")
for envelope in SENT:
    print(envelope)
