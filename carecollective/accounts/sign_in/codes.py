"""Codes that are sent by mail. Sessions and the mail queue hold a reference; the code is derived from it and the secret key."""

import secrets
import time

from django.utils.crypto import salted_hmac

from carecollective.accounts.models import User

# How long a code works: the worker needs seconds to send it, a slow mailbox minutes.
CODE_SECONDS = 15 * 60
# Letters that nobody mixes up, and that make no words. 20 ** 8 codes.
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH = 8


def new_reference() -> str:
    """Return a reference that names a code and the time it was made at."""
    return f"{int(time.time())}.{secrets.token_urlsafe(16)}"


def code_of(reference: str, member: User | None) -> str:
    """Return the code of a reference, such as BCDF-GHJK; "" where no typed code may match.

    A new password, a sign-out everywhere and a shut-out change it: what was sent before works no more.
    """
    if not reference or member is None or not member.is_active:
        return ""
    value = f"{reference} {member.pk} {member.get_session_auth_hash()}"
    number = int(salted_hmac("carecollective.accounts.codes", value, algorithm="sha256").hexdigest(), 16)
    letters = "".join(_LETTERS[number // len(_LETTERS) ** place % len(_LETTERS)] for place in range(_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def is_expired(reference: str) -> bool:
    """Tell whether the code of a reference is too old to be used."""
    made_at = int(reference.partition(".")[0])
    return time.time() - made_at > CODE_SECONDS
