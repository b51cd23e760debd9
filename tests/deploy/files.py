"""The examples of `deploy/`, read."""

import re
import shlex
from typing import Any

import yaml

from tests.postgres.support import PROJECT

DEPLOY = PROJECT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())


def read(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def compose() -> dict[str, Any]:
    read_file: dict[str, Any] = yaml.safe_load(read("compose.yaml"))
    return read_file


def procfile() -> dict[str, str]:
    return dict(line.split(": ", 1) for line in read("Procfile").splitlines())


def copied_paths() -> list[str]:
    """Return what the Dockerfile takes from the project."""
    copies = [shlex.split(line)[1:-1] for line in read("Dockerfile").splitlines() if line.startswith("COPY ")]
    return [path for copy in copies if not copy[0].startswith("--from") for path in copy]


def unit(name: str) -> dict[str, list[str]]:
    """Return the settings of a systemd unit; each may be given several times."""
    settings: dict[str, list[str]] = {}
    for name_, value in re.findall(r"^(\w+)=(.*)$", read(f"systemd/{name}"), re.MULTILINE):
        settings.setdefault(name_, []).append(value)
    return settings
