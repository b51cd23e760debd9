"""The client's IP address, behind trusted proxies."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest


def client_ip(request: HttpRequest) -> str:
    """Return the client's IP address that limits are counted by: for IPv6 its /64, "" when it is unknown.

    Each proxy appends the address that called it to X-Forwarded-For. Only entries of trusted proxies count: the last
    TRUSTED_PROXIES entries or, with networks, all up to the first address outside of them.
    """
    forwarded = [entry for entry in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if entry.strip()]
    # Over a Unix socket the caller, a proxy, has no address.
    callers = [*forwarded, request.META.get("REMOTE_ADDR", "")]
    proxies: int | list[IPv4Network | IPv6Network] = settings.TRUSTED_PROXIES
    if isinstance(proxies, int):
        found = _parse(callers[-1 - proxies]) if len(callers) > proxies else None
        return _network_of(found or _parse(callers[-1]))
    client = None
    for caller in reversed(callers):
        found = _parse(caller)
        if found is None and caller:
            break
        client = found or client
        if found and not any(found in network for network in proxies):
            break
    return _network_of(client)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network_of(address: IPv4Address | IPv6Address | None) -> str:
    if address is None:
        return ""
    # One client has a whole /64, and could otherwise use each of its addresses.
    return str(address if address.version == 4 else ip_network((address, 64), strict=False).network_address)
