"""What allauth's second factor asks of this site: encrypted secrets, and the name that passkeys are bound to."""

import base64
import secrets
from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from carecollective.core.text import SITE_NAME


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """allauth's second factors on this site."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": gettext_lazy("This is not the right code. Please look once more, or wait for the next one."),
    }

    def encrypt(self, text: str) -> str:
        return _vault().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Return the secret, or one that no code matches where the key that encrypted it is lost."""
        try:
            return _vault().decrypt(encrypted_text.encode()).decode()
        except InvalidToken:
            return base64.b32encode(secrets.token_bytes(20)).decode()

    def get_totp_issuer(self) -> str:
        return SITE_NAME

    def generate_authenticator_name(self, user: Any, type: Any) -> str:  # noqa: A002 -- named by allauth
        return _("My passkey")

    def get_public_key_credential_rp_entity(self) -> dict[str, Any]:
        return {"id": relying_party_id(), "name": SITE_NAME}


def relying_party_id() -> str:
    """Return the name that passkeys are bound to. Browsers take no IP address: on this machine it is `localhost`."""
    host = urlsplit(settings.SITE_ADDRESS).hostname or "localhost"
    return "localhost" if host == "127.0.0.1" else host


def _vault() -> MultiFernet:
    keys = []
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        digest = salted_hmac("carecollective.accounts.mfa", "key", secret=secret, algorithm="sha256").digest()
        keys.append(Fernet(base64.urlsafe_b64encode(digest)))
    return MultiFernet(keys)
