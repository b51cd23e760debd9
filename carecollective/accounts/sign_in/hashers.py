import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil

import bcrypt
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, Argon2PasswordHasher, BCryptPasswordHasher
from django.utils.translation import gettext_lazy as _

from carecollective.core.errors import RateLimitExceeded

BCRYPT_MAX_BYTES = 72
# In one process. Only a few threads may wait, so that the others (web.server_limits) serve members who do not sign in.
# A hash from before takes 100 MB to check, until its member signs in.
HASHES_AT_ONCE, HASHES_WAITING, WAIT_SECONDS = 2, 4, 5.0
_queue = threading.BoundedSemaphore(HASHES_AT_ONCE + HASHES_WAITING)
_slots = threading.BoundedSemaphore(HASHES_AT_ONCE)

# glibc's mallopt(M_MMAP_THRESHOLD): give back at once what a hash used. Otherwise each thread that ever hashed keeps 19 MiB.
_MMAP_THRESHOLD, _BYTES = -3, 1 << 20
with suppress(OSError, AttributeError):
    ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _BYTES)


class TooManyHashes(RateLimitExceeded):
    """Too many passwords are being checked at the moment."""

    message = _("Many people are signing in at this moment. Please try again in a few seconds.")


@contextmanager
def _hash_slot() -> Iterator[None]:
    """Wait for a free slot to hash in. Raises TooManyHashes after WAIT_SECONDS, or when too many wait."""
    if not _queue.acquire(blocking=False):
        raise TooManyHashes(retry_after=ceil(WAIT_SECONDS))
    try:
        if not _slots.acquire(timeout=WAIT_SECONDS):
            raise TooManyHashes(retry_after=ceil(WAIT_SECONDS))
        try:
            yield
        finally:
            _slots.release()
    finally:
        _queue.release()


class BoundedArgon2Hasher(Argon2PasswordHasher):
    """Django's hasher with a limit of hashes at once, because each takes much memory. Raises TooManyHashes.

    19 MiB and two passes are what OWASP recommends. Django's 100 MB let eight sign-ins take one process to 880 MB, before any
    password was right. A hash with other parameters still signs in, and is replaced then.
    """

    memory_cost, time_cost, parallelism = 19 * 1024, 2, 1

    def encode(self, password: str, salt: str) -> str:
        with _hash_slot():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _hash_slot():
            return super().verify(password, encoded)


class LegacyBcryptHasher(BCryptPasswordHasher):
    """The legacy system's bcrypt of a password's first 72 bytes. Hashes are replaced at the first sign-in."""

    algorithm = "legacy_bcrypt"

    def encode(self, password: str, salt: bytes) -> str:  # type: ignore[override]
        with _hash_slot():
            hashed = bcrypt.hashpw(password.encode()[:BCRYPT_MAX_BYTES], salt)
        return f"{self.algorithm}${hashed.decode('ascii')}"

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Do nothing: a legacy hash is replaced at the first sign-in, so its cost differs only once."""


def from_legacy_hash(hashed: str) -> str:
    """Return a legacy hash, bcrypt (`$2a$…`) or Argon2 (`$argon2id$…`), in Django's format.

    For any other hash, return one that no password matches.
    """
    if hashed.startswith("$2"):
        return f"{LegacyBcryptHasher.algorithm}${hashed}"
    if hashed.startswith("$argon2"):
        return f"{Argon2PasswordHasher.algorithm}{hashed}"
    return UNUSABLE_PASSWORD_PREFIX
