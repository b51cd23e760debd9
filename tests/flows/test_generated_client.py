"""A client that a generator makes of the published document, driven against the running site."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from carecollective.accounts.models import User
from tests import databases
from tests.access.world import make_world

PASSWORD = "three green apples"


@pytest.fixture
def open_clients() -> Iterator[ExitStack]:
    """Close what was opened at the end: connections that a client keeps."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import what the generator makes of the document, without one warning: `generated("api.accounts.sign_in")`."""
    made = subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"),
            *("--path", str(databases.ROOT / "docs/openapi.yaml"), "--output-path", str(tmp_path / "care_client")),
        ],
        env={"PATH": str(Path(sys.executable).parent), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    monkeypatch.syspath_prepend(tmp_path)
    return lambda name: importlib.import_module(f"care_client.{name}")


def test_a_generated_client_goes_from_signing_in_to_signing_out(
    site: str, settled_stage: Any, generated: Any, open_clients: ExitStack
) -> None:
    settled_stage("enabled", v1_writes=True)
    world = make_world()
    helper = User.objects.get(pk=world.helper.pk)
    helper.set_password(PASSWORD)
    helper.save(update_fields=["password"])
    client, models = generated("client"), generated("models")

    def call(name: str, *ids: Any, by: Any, **given: Any) -> Any:
        answer = generated(f"api.{name}").sync_detailed(*ids, client=by, **given)
        assert answer.headers["X-Request-ID"]
        return answer

    anyone = open_clients.enter_context(client.Client(base_url=site))
    refused = call("accounts.sign_in", by=anyone, body=models.SignIn(email=helper.email, password="wrong"))
    assert refused.status_code == 401
    assert refused.parsed.error.code is models.ErrorCode.UNAUTHORIZED
    token = call("accounts.sign_in", by=anyone, body=models.SignIn(email=helper.email, password=PASSWORD)).parsed.token
    # It says Bearer, as most do.
    me = open_clients.enter_context(client.AuthenticatedClient(base_url=site, token=token))

    listed = call("help_requests.list_help_requests", by=me, status=models.HelpRequestStatus.OPEN, q="").parsed
    assert str(world.untouched.pk) in {str(request.id) for request in listed.results}
    offer = models.Offer(initial_message="Hello, I can help with this.")
    started = call("conversations.start_conversation", world.untouched.pk, by=me, body=offer)
    assert (started.status_code, started.parsed.version) == (201, models.MessagingVersion.V2)
    assert started.headers["RateLimit"].startswith('"start_conversation";r=')
    again = call("conversations.start_conversation", world.untouched.pk, by=me, body=offer).parsed.error
    assert (again.code, again.conversation_id) == (
        models.ErrorCode.CONVERSATION_EXISTS,
        started.parsed.conversation_id,
    )

    key = started.parsed.conversation_id
    sent = call("conversations.send_message", key, by=me, body=models.NewMessage(content="When suits you?")).parsed
    polled = call("conversations.list_newer_messages", key, by=me).parsed
    assert ([message.id for message in polled.messages], polled.has_more) == ([sent.message_id], False)
    thread = call("conversations.get_conversation", key, by=me).parsed
    assert (thread.conversation.initial_message, thread.way_on) == (offer.initial_message, None)
    inbox = call("conversations.list_conversations", by=me).parsed
    assert key in {row.id for row in inbox.results}
    assert call("rollout.rollout_me", by=me).parsed.version is models.MessagingVersion.V2

    (mine,) = [token for token in call("accounts.list_tokens", by=me).parsed.results if token.is_current]
    assert call("accounts.end_token", mine.id, by=me).status_code == 204
    assert call("accounts.sign_out", by=me, body=models.SignOut()).status_code == 401
