import bcrypt
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, Argon2PasswordHasher, BCryptPasswordHasher

BCRYPT_MAX_BYTES = 72


class LegacyBcryptHasher(BCryptPasswordHasher):
    """The legacy system's hashes, bcrypt of the password's first 72 bytes; each is rehashed at its first sign-in."""

    algorithm = "legacy_bcrypt"

    def encode(self, password: str, salt: bytes) -> str:  # type: ignore[override]
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
