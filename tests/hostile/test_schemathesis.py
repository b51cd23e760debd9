"""The published document against the running site, by a program that knows nothing but the document."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from knox.models import AuthToken

from tests import databases
from tests.access.world import make_world

# It stands beside the interpreter where the development requirements are installed.
PROGRAM = os.environ.get("SCHEMATHESIS") or shutil.which("schemathesis", path=str(Path(sys.executable).parent))
EXAMPLES = 12


@pytest.mark.skipif(not PROGRAM, reason="schemathesis is not installed")
def test_every_check_of_schemathesis_finds_nothing(site: str, stage: Any, tmp_path: Path) -> None:
    stage("enabled", v1_writes=True)
    world = make_world()
    _kept, token = AuthToken.objects.create(world.helper)
    ran = subprocess.run(
        [
            str(PROGRAM),
            f"--config-file={Path(__file__).with_name('schemathesis.toml')}",
            "run",
            str(databases.ROOT / "docs/openapi.yaml"),
            f"--url={site}",
            f"--header=Authorization: Token {token}",
            "--checks=all",
            f"--max-examples={os.environ.get('SCHEMATHESIS_EXAMPLES', EXAMPLES)}",
            "--seed=4",
            "--workers=1",
            "--request-timeout=20",
            "--no-color",
            "--generation-database=none",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-16000:] + ran.stderr[-2000:]
