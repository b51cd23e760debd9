"""Where there is no browser and none can be had, a run ends at once and says what to install."""

import os
import subprocess
import sys

from tests import databases

SENTENCE = "No browser: install Chromium (Debian: apt-get install chromium) or set CHROMIUM to its path."


def test_a_run_without_a_browser_says_so_before_its_workers_start(tmp_path):
    nothing_installs = tmp_path / "apt-get"
    nothing_installs.write_text("#!/bin/sh\nexit 1\n")
    nothing_installs.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = kept | {
        "CHROMIUM": str(tmp_path / "chromium"),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PLAYWRIGHT_NODEJS_PATH": "false",
    }
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "tests/flows/test_offer_help.py"],
        cwd=databases.ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert SENTENCE in run.stdout
    # Said before any worker has started: what a worker says when it ends reaches nobody.
    assert "INTERNALERROR" not in run.stdout
    assert "gw0" not in run.stdout
