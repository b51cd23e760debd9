"""The published document against the running site, by a program that knows nothing but the document, and some ids."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from knox.models import AuthToken

from carecollective.accounts.models import User
from carecollective.accounts.sign_in.tokens import list_tokens
from carecollective.web.health import WORKER_SILENCE_SECONDS
from tests import databases
from tests.access.world import World, make_world

# It stands beside the interpreter where the development requirements are installed.
PROGRAM = os.environ.get("SCHEMATHESIS") or shutil.which("schemathesis", path=str(Path(sys.executable).parent))
# Some thousand now and then, by hand: that takes an hour.
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "8"))
RULES = Path(__file__).with_name("schemathesis.toml")
WITHIN = 25 * EXAMPLES


def token_of(member: User) -> str:
    _kept, token = AuthToken.objects.create(user=member)
    return str(token)


def what_is_there(world: World) -> str:
    """Let half of the calls about a thing be about one that exists, staff ask for the status, and others sign out."""
    for _ in range(3):
        token_of(world.staff)
    tokens = [token.id for token in list_tokens(member=world.staff)]
    return f"""
[dictionaries]
conversations.values = ["{world.conversation}", "{world.legacy}"]
requests.values = ["{world.untouched.pk}"]
tokens.values = {tokens}

[parameters]
"path.conversation_id" = {{ dictionary = "conversations", probability = 0.5 }}
"path.help_request_id" = {{ dictionary = "requests", probability = 0.5 }}
"path.token_id" = {{ dictionary = "tokens", probability = 0.5 }}

[[operations]]
include-path = "/api/rollout/status"
headers = {{ Authorization = "Token {token_of(world.superuser)}" }}

[[operations]]
include-path-regex = "^/api/auth/tokens"
headers = {{ Authorization = "Bearer {token_of(world.staff)}" }}

[[operations]]
include-path-regex = "/(ask|report)$"
headers = {{ Authorization = "Bearer {token_of(world.owner)}" }}

[[operations]]
include-path = "/api/auth/sign-out"
headers = {{ Authorization = "Bearer {token_of(world.stranger)}" }}
"""


def beat() -> None:
    """Stand in for the worker: no worker runs here, and the site's health is one of the calls, whenever it is made."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE core_workerheartbeat SET beat_at = clock_timestamp() WHERE name = 'worker'")


def run_beside_a_worker(command: list[str], folder: Path) -> tuple[int, str]:
    """Run the program to its end, with a worker that is well all the while; return its status and what it said."""
    began = time.monotonic()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        try:
            while True:
                beat()
                try:
                    said, _nothing = running.communicate(timeout=WORKER_SILENCE_SECONDS / 10)
                except subprocess.TimeoutExpired:
                    assert time.monotonic() - began < WITHIN, "it did not end in time"
                else:
                    return running.returncode, said
        finally:
            running.kill()


@pytest.mark.skipif(not PROGRAM, reason="schemathesis is not installed")
def test_every_check_of_schemathesis_finds_nothing(site: str, stage: Any, tmp_path: Path) -> None:
    stage("enabled", v1_writes=False)
    world = make_world()
    rules = tmp_path / "schemathesis.toml"
    rules.write_text(RULES.read_text() + what_is_there(world))
    status, said = run_beside_a_worker(
        [
            str(PROGRAM),
            f"--config-file={rules}",
            "run",
            str(databases.ROOT / "docs/openapi.yaml"),
            f"--url={site}",
            f"--header=Authorization: Token {token_of(world.helper)}",
            "--checks=all",
            f"--max-examples={EXAMPLES}",
            "--seed=4",
            "--workers=1",
            "--request-timeout=20",
            "--no-color",
            "--generation-database=none",
        ],
        tmp_path,
    )
    assert status == 0, said[-16000:]
