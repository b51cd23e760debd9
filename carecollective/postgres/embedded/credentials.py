"""Secrets that are made once and kept under DATA_DIR. Only their owner may read them."""

import contextlib
import json
import os
import secrets
from pathlib import Path

from carecollective.postgres.embedded.layout import DataDirectory
from carecollective.postgres.errors import PostgresError

ROLES = ("superuser", "owner", "web", "ops", "guard")


def passwords(data_dir: Path) -> dict[str, str]:
    """Return the passwords of the embedded server's roles; the first call makes them."""
    data = DataDirectory(data_dir)
    text = _read_or_create(data, data.credentials, json.dumps({role: secrets.token_urlsafe(32) for role in ROLES}))
    try:
        found = json.loads(text)
        return {role: str(found[role]) for role in ROLES}
    except (ValueError, KeyError, TypeError):
        raise PostgresError(f"{data.credentials} is damaged: restore it from a backup.") from None


def secret_key(data_dir: Path) -> str:
    """Return Django's secret key for this folder; the first call makes it."""
    data = DataDirectory(data_dir)
    return _read_or_create(data, data.secret_key, secrets.token_urlsafe(64))


def _read_or_create(data: DataDirectory, path: Path, fresh: str) -> str:
    try:
        if not path.exists():
            data.create()
            _create_once(path, fresh)
        return path.read_text(encoding="utf-8").strip()
    except OSError as problem:
        raise PostgresError(f"DATA_DIR {data.root} cannot be used: {problem.strerror or problem}.") from None


def _create_once(path: Path, text: str) -> None:
    """Write the whole file, or keep the one that another process wrote first."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
