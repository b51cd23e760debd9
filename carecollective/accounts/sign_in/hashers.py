import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

import bcrypt
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, Argon2PasswordHasher, BCryptPasswordHasher
from django.utils.translation import gettext_lazy as _

from carecollective.core.errors import RateLimitExceeded

BCRYPT_MAX_BYTES = 72
# In one process: an Argon2 hash takes 100 MB. So many threads wait for their turn, at most so long; the others of those that
# serve (web.server_limits) stay free for who does not sign in.
HASHES_AT_ONCE, HASHES_WAITING, WAIT_SECONDS = 2, 4, 5.0
_places = threading.BoundedSemaphore(HASHES_AT_ONCE + HASHES_WAITING)
_free = threading.BoundedSemaphore(HASHES_AT_ONCE)


class TooManyHashes(RateLimitExceeded):
    """Too many passwords are being checked at this moment."""

    message = _("Many people are signing in at this moment. Please try again in a few seconds.")


@contextmanager
def _one_of_few() -> Iterator[None]:
    """Wait for a turn to hash. Raises TooManyHashes when it does not come in time, or too many wait already."""
    if not _places.acquire(blocking=False):
        raise TooManyHashes(retry_after=ceil(WAIT_SECONDS))
    try:
        if not _free.acquire(timeout=WAIT_SECONDS):
            raise TooManyHashes(retry_after=ceil(WAIT_SECONDS))
        try:
            yield
        finally:
            _free.release()
    finally:
        _places.release()


class BoundedArgon2Hasher(Argon2PasswordHasher):
    """Django's hasher, a few at a time, so that many sign-ins at once do not fill the memory.

    Raises TooManyHashes.
    """

    def encode(self, password: str, salt: str) -> str:
        with _one_of_few():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _one_of_few():
            return super().verify(password, encoded)


class LegacyBcryptHasher(BCryptPasswordHasher):
    """The legacy system's hashes, bcrypt of the password's first 72 bytes; each is rehashed at its first sign-in."""

    algorithm = "legacy_bcrypt"

    def encode(self, password: str, salt: bytes) -> str:  # type: ignore[override]
        with _one_of_few():
            hashed = bcrypt.hashpw(password.encode()[:BCRYPT_MAX_BYTES], salt)
        return f"{self.algorithm}${hashed.decode('ascii')}"

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Nothing to add: a legacy hash is replaced at the first sign-in, so its cost differs only once."""


def from_legacy_hash(hashed: str) -> str:
    """Return a legacy hash, bcrypt (`$2a$…`) or Argon2 (`$argon2id$…`), in the form that Django keeps.

    Of any other kind, the answer is one that no password matches.
    """
    if hashed.startswith("$2"):
        return f"{LegacyBcryptHasher.algorithm}${hashed}"
    if hashed.startswith("$argon2"):
        return f"{Argon2PasswordHasher.algorithm}{hashed}"
    return UNUSABLE_PASSWORD_PREFIX
