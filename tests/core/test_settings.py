"""A value that cannot be read stops the start with one sentence that names its variable."""

import os
import subprocess
import sys

import pytest

READ = [sys.executable, "-c", "import carecollective.settings"]


def read(**given: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(READ, env=os.environ | given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("name", "value"), [
    ("SENTRY_DSN", "https://example.org"),
    ("ALLOWED_HOSTS", "https://care.example/"),
    ("ALLOWED_HOSTS", "care example"),
    ("ALLOWED_HOSTS", "care.example:8000"),
    ("CSRF_TRUSTED_ORIGINS", "https://care.example/path"),
    ("CSRF_TRUSTED_ORIGINS", "care.example"),
])  # fmt: skip
def test_what_cannot_be_read_is_named(name: str, value: str) -> None:
    found = read(**{name: value})
    assert found.returncode == 1
    assert f"{name} must be" in found.stderr.splitlines()[-1]


def test_what_can_be_read_is_taken() -> None:
    found = read(
        SENTRY_DSN="https://key@sentry.example/1",
        ALLOWED_HOSTS="care.example, .care.example, 192.0.2.7, [2001:db8::7], *",
        CSRF_TRUSTED_ORIGINS="https://care.example,https://*.care.example,http://192.0.2.7:8000,https://[2001:db8::7]:444",
    )
    assert found.returncode == 0, found.stderr
