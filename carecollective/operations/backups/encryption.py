"""Encryption of dumps with age. Only the public key must be on the machine that makes backups."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import pyrage
from django.conf import settings

from carecollective.operations.errors import OperationError

HEADER = b"age-encryption.org/"


def is_encrypted(dump: Path) -> bool:
    """Tell by its first bytes whether a dump is encrypted. Raises OperationError."""
    try:
        with dump.open("rb") as file:
            return file.read(len(HEADER)) == HEADER
    except OSError as problem:
        raise OperationError(f"{dump} cannot be read: {problem.strerror}.") from None


def encrypt(source: IO[bytes], *, target: Path, recipients: Sequence[Any]) -> None:
    """Write `source` into `target`, encrypted for each of these public keys. Raises OSError."""
    with target.open("wb") as file:
        try:
            pyrage.encrypt_io(source, file, recipients)
        except pyrage.EncryptError as problem:
            raise OSError(f"the dump could not be encrypted and written ({problem})") from None


def decrypt(target: IO[bytes], *, source: Path, identities: Sequence[Any]) -> None:
    """Write `source` into `target`, decrypted. Raises OSError, also when the reader closes the pipe early."""
    with source.open("rb") as file:
        try:
            pyrage.decrypt_io(file, target, identities)
        except pyrage.DecryptError as problem:
            raise OSError(f"the dump could not be decrypted ({problem})") from None


def find_identities(dump: Path, chosen: Path | None) -> Sequence[Any]:
    """Return the secret keys that open an encrypted dump: those in the file `chosen`, else in BACKUP_IDENTITY_FILE.

    Raises OperationError if there are none, or none that fit.
    """
    path: Path | None = chosen or settings.BACKUP_IDENTITY_FILE
    if path is None:
        raise OperationError(
            f"{dump} is encrypted: name the file that holds the secret key with --identity, or set BACKUP_IDENTITY_FILE."
        )
    identities = _read_identities(path)
    sink = _FirstBytes()
    with dump.open("rb") as file:
        try:
            pyrage.decrypt_io(file, sink, identities)
        except pyrage.DecryptError:
            raise OperationError(f"{dump} is encrypted for another key than {path} holds.") from None
        except OSError as problem:
            if not sink.was_reached:
                raise OperationError(f"{dump} cannot be decrypted: {problem}.") from None
    return identities


class _FirstBytes:
    """Stops the decryption at its first bytes: only the right key produces any."""

    was_reached = False

    def write(self, data: bytes) -> int:
        self.was_reached = True
        raise BrokenPipeError

    def flush(self) -> None:
        pass


def _read_identities(path: Path) -> Sequence[Any]:
    try:
        content = path.read_text(encoding="utf-8", errors="replace")
    except OSError as problem:
        raise OperationError(f"{path} cannot be read: {problem.strerror}.") from None
    lines = (line.strip() for line in content.splitlines())
    try:
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except pyrage.IdentityError:
        found = []
    if not found:
        raise OperationError(f"{path} holds no secret key of age.")
    return found
