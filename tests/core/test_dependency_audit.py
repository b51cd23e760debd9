"""The audit of the dependencies passes when it has looked, or when it could not; and not because something broke."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import databases

# A pip-audit of the tests': it notes what it was asked, and answers each kind of question as it is told.
STAND_IN = """\
#!/usr/bin/env bash
echo "$*" >>"$ASKED"
case "$*" in
*--dry-run*) echo "$READING"; [ "$READING" = fine ];;
*known-weak*) echo "$KNOWN"; exit 1;;
*) echo "$LOOKING"; [ "$LOOKING" = "No known vulnerabilities found" ];;
esac
"""
FINE = {
    "READING": "fine",
    "KNOWN": "Found 9 known vulnerabilities in 1 package",
    "LOOKING": "No known vulnerabilities found",
}

Audit = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    program = tmp_path / "pip-audit"
    program.write_text(STAND_IN)
    program.chmod(0o700)

    def run(**answers: str) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {"PIP_AUDIT": str(program), "ASKED": str(tmp_path / "asked")} | FINE | answers
        return subprocess.run(
            [databases.ROOT / ".ci/audit"], env=environment, capture_output=True, text=True, timeout=30, check=False
        )

    return run


def test_dependencies_without_a_known_weakness_pass(audit: Audit, tmp_path: Path) -> None:
    ran = audit()
    assert (ran.returncode, ran.stdout) == (0, "No known vulnerabilities found\n")
    read, _known, looked = (tmp_path / "asked").read_text().splitlines()
    for asked in (read, looked):
        assert "-r requirements.txt -r requirements-dev.txt" in asked
        assert "--strict" in asked


def test_a_known_weakness_fails(audit: Audit) -> None:
    ran = audit(LOOKING="Found 1 known vulnerability in 1 package")
    assert ran.returncode != 0
    assert "Found 1" in ran.stdout


def test_without_a_database_it_is_skipped_and_says_so(audit: Audit) -> None:
    ran = audit(KNOWN="ERROR: Could not connect to PyPI's vulnerability feed")
    assert (ran.returncode, "skipped" in ran.stdout) == (0, True)
    assert "Could not connect" in ran.stdout


@pytest.mark.parametrize("known", [FINE["KNOWN"], "ERROR: Could not connect to PyPI's vulnerability feed"])
def test_unreadable_dependencies_fail(audit: Audit, known: str) -> None:
    ran = audit(READING="ERROR: requirement argon2-cffi==25.1.0 does not contain a hash", KNOWN=known)
    assert ran.returncode != 0
    assert "does not contain a hash" in ran.stdout


def test_whatever_else_breaks_fails_where_there_is_a_database(audit: Audit) -> None:
    ran = audit(LOOKING="Traceback (most recent call last)")
    assert ran.returncode != 0
    assert "Traceback" in ran.stdout


def test_without_the_program_it_is_skipped_and_says_so(audit: Audit, tmp_path: Path) -> None:
    ran = audit(PIP_AUDIT=str(tmp_path / "nowhere"))
    assert (ran.returncode, "not installed" in ran.stdout) == (0, True)
