"""The set-up installs what the lock file names, whatever newer releases the index offers since."""

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests import databases


def _write_wheel(folder: Path, name: str, version: str, requires: str = "") -> str:
    """Write a wheel of nothing but its metadata; return its hash as a lock file has it."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: more\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{info}/METADATA", metadata + (f"Requires-Dist: {requires}\n" if requires else ""))
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return f"--hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder whose lock was complete on the day of locking: one package needs another one's extra."""
    index = tmp_path / "index"
    index.mkdir()
    needs = _write_wheel(index, "needs", "1.0", "offers[more]>=1.0")
    offers = _write_wheel(index, "offers", "1.0")
    (tmp_path / "requirements.txt").write_text(f"needs==1.0 {needs}\noffers==1.0 {offers}\n")
    return tmp_path


def _set_up(project: Path) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project / "index")}
    return subprocess.run(
        ["make", "-f", databases.ROOT / "Makefile", "setup"],
        cwd=project, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def _installed(project: Path) -> set[str]:
    return {path.name for path in project.glob(".venv/lib/*/site-packages/[no]*.dist-info")}


def test_a_newer_release_of_a_locked_package_changes_nothing(project: Path) -> None:
    _write_wheel(project / "index", "offers", "2.0")
    ran = _set_up(project)
    assert ran.returncode == 0, ran.stderr
    assert _installed(project) == {"needs-1.0.dist-info", "offers-1.0.dist-info"}


def test_an_incomplete_lock_fails_and_names_what_is_missing(project: Path) -> None:
    lock = project / "requirements.txt"
    lock.write_text(lock.read_text().splitlines()[0])
    ran = _set_up(project)
    assert ran.returncode != 0
    assert "needs 1.0 requires offers, which is not installed" in ran.stdout + ran.stderr
    assert not list(project.glob(".venv/*.sha256"))
