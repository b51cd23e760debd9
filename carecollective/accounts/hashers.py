import bcrypt
from django.contrib.auth.hashers import BCryptPasswordHasher

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
    """Return a legacy `$2a$…` hash in the form that Django keeps."""
    return f"{LegacyBcryptHasher.algorithm}${hashed}"
