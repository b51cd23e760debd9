"""A passkey in software, as a phone holds one."""

import hashlib
import json
import os
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

PRESENT, VERIFIED, ATTESTED = AuthenticatorData.FLAG.UP, AuthenticatorData.FLAG.UV, AuthenticatorData.FLAG.AT


class Passkey:
    """One key pair, bound to the origin that the browser shows."""

    def __init__(self, origin: str) -> None:
        self.origin, self.id, self.user, self.uses = origin, os.urandom(32), b"", 0
        self.key = ec.generate_private_key(ec.SECP256R1())

    def create(self, options: Any) -> str:
        """Return the browser's answer to a page that adds a passkey."""
        asked = options["publicKey"]
        self.user = websafe_decode(asked["user"]["id"])
        public = ES256.from_cryptography_key(self.key.public_key())
        credential = AttestedCredentialData.create(b"\0" * 16, self.id, public)
        data = AuthenticatorData.create(_hash(asked["rp"]["id"]), PRESENT | VERIFIED | ATTESTED, 0, credential)
        answer = {
            "clientDataJSON": websafe_encode(self._client_data("webauthn.create", asked["challenge"])),
            "attestationObject": websafe_encode(bytes(AttestationObject.create("none", data, {}))),
        }
        return self._answer(answer, {"credProps": {"rk": True}})

    def sign(self, options: Any) -> str:
        """Return the browser's answer to a page that asks for the passkey."""
        asked = options["publicKey"]
        self.uses += 1
        data = AuthenticatorData.create(_hash(asked["rpId"]), PRESENT | VERIFIED, self.uses)
        client_data = self._client_data("webauthn.get", asked["challenge"])
        signed = bytes(data) + hashlib.sha256(client_data).digest()
        answer = {
            "clientDataJSON": websafe_encode(client_data),
            "authenticatorData": websafe_encode(bytes(data)),
            "signature": websafe_encode(self.key.sign(signed, ec.ECDSA(hashes.SHA256()))),
            "userHandle": websafe_encode(self.user),
        }
        return self._answer(answer, {})

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _answer(self, response: dict[str, str], extensions: dict[str, Any]) -> str:
        key_id = websafe_encode(self.id)
        return json.dumps(
            {
                "id": key_id,
                "rawId": key_id,
                "type": "public-key",
                "authenticatorAttachment": "platform",
                "clientExtensionResults": extensions,
                "response": response,
            }
        )


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
