"""Whose sign-ins are counted together, and from where: one account and one address, at whichever door."""

from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any

from django.conf import settings
from django.http import HttpRequest


def account_of(request: HttpRequest | None, credentials: dict[str, Any] | None = None) -> str:
    """Return the address that somebody tries to sign in with, in the one spelling under which members are found."""
    given = (credentials or {}).get("username") or (request.POST.get("username", "") if request else "")
    return str(given).strip().lower()


def address_of(request: HttpRequest) -> str:
    """Return the caller's network address; of IPv6 the network that one caller has, a /64.

    Each of TRUSTED_PROXIES adds the address that it was called from at the end of X-Forwarded-For; what stands before
    those was written by the caller, and is believed no more than with no proxy at all.
    """
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    trusted: int = settings.TRUSTED_PROXIES
    if trusted and len(hops) >= trusted:
        with suppress(ValueError):
            return _counted(hops[-trusted].strip())
    with suppress(ValueError):
        return _counted(request.META.get("REMOTE_ADDR", ""))
    return ""


def _counted(text: str) -> str:
    address = ip_address(text)
    if address.version == 4:
        return str(address)
    # One caller has all of a /64, and could otherwise guess from each of its addresses.
    return str(address.ipv4_mapped or ip_network((address, 64), strict=False).network_address)
