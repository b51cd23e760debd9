"""The address that a reply goes to: one for each member and conversation, signed, valid for thirty days."""

import base64
import binascii
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

VALID_FOR = timedelta(days=30)
_SALT = "carecollective.inbox.replies"
_SIGNATURE_BYTES = 12
_DAY = 24 * 3600
# Mail servers may write an address in capitals. The part before the @ holds at most 64 characters.
_LOCAL = re.compile(r"reply-([a-z2-7]{48})", re.IGNORECASE)


def make_reply_address(member_id: UUID, conversation_id: UUID) -> str:
    """Return the address for a member's reply to a conversation; empty where replies by mail are off."""
    if not settings.REPLY_DOMAIN:
        return ""
    last_day = int(time.time() + VALID_FOR.total_seconds()) // _DAY
    head = conversation_id.bytes + last_day.to_bytes(2, "big")
    token = base64.b32encode(head + _sign(head, member_id, settings.SECRET_KEY)).decode().lower()
    return f"reply-{token}@{settings.REPLY_DOMAIN}"


def find_conversation(address: str) -> UUID | None:
    """Return the conversation that an address of ours names. It is not proven yet: see `is_reply_address_of`."""
    head = _read(address)
    return UUID(bytes=head[:16]) if head is not None else None


def is_reply_address_of(address: str, member_id: UUID) -> bool:
    """Tell whether an address was made for this member."""
    head = _read(address)
    if head is None:
        return False
    signed = head[18:]
    return any(constant_time_compare(signed, _sign(head[:18], member_id, key)) for key in _keys())


def is_expired(address: str) -> bool:
    """Tell whether the thirty days of an address are over."""
    head = _read(address)
    return head is None or int.from_bytes(head[16:18], "big") < time.time() // _DAY


def _keys() -> Iterator[str | bytes]:
    yield settings.SECRET_KEY
    yield from settings.SECRET_KEY_FALLBACKS


def _sign(head: bytes, member_id: UUID, key: str | bytes) -> bytes:
    value = head + member_id.bytes
    return salted_hmac(_SALT, value, secret=key, algorithm="sha256").digest()[:_SIGNATURE_BYTES]


def _read(address: str) -> bytes | None:
    local, _at, domain = address.rpartition("@")
    found = _LOCAL.fullmatch(local)
    if found is None or not settings.REPLY_DOMAIN or domain.lower() != settings.REPLY_DOMAIN.lower():
        return None
    try:
        return base64.b32decode(found[1].upper())
    except binascii.Error:
        return None
