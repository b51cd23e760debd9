"""Read environment variables. A malformed value stops the start with one sentence."""

import os
import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from sentry_sdk.utils import Dsn

T = TypeVar("T")
# Values of these hold passwords or tokens, and are not repeated in errors.
SECRET_NAMES = ("_URL", "_DSN", "_KEY", "_TOKEN")
# The number of proxies in front of the site, or their networks.
Proxies = int | list[IPv4Network | IPv6Network]
NO_PROXIES: Proxies = 0
# The environment of the process, without the variables from `.env`.
GIVEN = dict(os.environ)


def read(name: str, default: T, parse: Callable[[str], T], expected: str) -> T:
    """Return the parsed variable, or `default` when it is unset or empty.

    Raises ImproperlyConfigured with one sentence that names the variable and its format.
    """
    raw = os.environ.get(name, "").strip()
    if not raw:
        return default
    try:
        return parse(raw)
    except ValueError:
        found = "" if name.endswith(SECRET_NAMES) else f", not {raw!r}"
        raise ImproperlyConfigured(f"{name} must be {expected}{found}.") from None


def whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
            raise ValueError
        return int(raw)

    return parse


def share_of_one(raw: str) -> float:
    if not 0.5 <= float(raw) < 1:
        raise ValueError
    return float(raw)


def on_or_off(raw: str) -> bool:
    if raw.lower() not in ("true", "1", "on", "false", "0", "off"):
        raise ValueError
    return raw.lower() in ("true", "1", "on")


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        if raw.lower() not in choices:
            raise ValueError
        return raw.lower()

    return parse


def text_that(is_valid: Callable[[str], bool]) -> Callable[[str], str]:
    """Return a parser that takes the text as it is if it is valid."""

    def parse(raw: str) -> str:
        if not is_valid(raw):
            raise ValueError
        return raw

    return parse


def names_like(pattern: str) -> Callable[[str], list[str]]:
    """Return a parser of names with commas between, each of which matches the pattern."""

    def parse(raw: str) -> list[str]:
        if not all(re.fullmatch(pattern, name, re.IGNORECASE) for name in names(raw)):
            raise ValueError
        return names(raw)

    return parse


def names(raw: str) -> list[str]:
    return [name.strip() for name in raw.split(",") if name.strip()]


def age_recipients(raw: str) -> list[Any]:
    """Return age's public keys. The error for a secret key does not repeat it."""
    import pyrage  # noqa: PLC0415 -- few processes encrypt anything

    if "SECRET-KEY" in raw.upper():
        raise ImproperlyConfigured("BACKUP_RECIPIENT must be a public key (age1…): it is set to a secret key.")
    try:
        return [pyrage.x25519.Recipient.from_str(name) for name in names(raw)]
    except pyrage.RecipientError:
        raise ValueError from None


def networks(raw: str) -> list[IPv4Network | IPv6Network]:
    return [ip_network(network) for network in names(raw)]


def proxies(raw: str) -> Proxies:
    return whole_number(0, 10)(raw) if raw.isdigit() else networks(raw)


def forwarded_allow_ips(trusted: Proxies) -> str:
    """Return the proxies with a trusted `X-Forwarded-Proto`, for gunicorn's setting `forwarded_allow_ips`."""
    if isinstance(trusted, list):
        return ",".join(str(network) for network in trusted)
    # By default only a proxy on this machine is trusted.
    return "*" if trusted else "127.0.0.1,::1"


def bind_address(raw: str) -> str:
    return str(ip_address(raw.strip("[]")))


def mail_server(raw: str) -> dict[str, Any]:
    try:
        return dict(environ.Env.email_url_config(raw))
    except ImproperlyConfigured:
        raise ValueError from None


HOST = r"([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])"
one_host = text_that(lambda raw: re.fullmatch(HOST, raw, re.IGNORECASE) is not None)
hosts = names_like(rf"\*|\.?{HOST}")
origins = names_like(rf"https?://(\*\.)?{HOST}(:\d+)?")
exact_origins = names_like(rf"https?://{HOST}(:\d+)?")
one_address = text_that(lambda raw: re.fullmatch(r"[^@\s]+@[^@\s]+", raw) is not None)
addresses = names_like("[^@]+@[^@]+")
web_address = text_that(lambda raw: urlsplit(raw).scheme in ("http", "https") and bool(urlsplit(raw).hostname))
database_address = text_that(
    lambda raw: urlsplit(raw).scheme in ("postgres", "postgresql") and bool(urlsplit(raw).path.strip("/"))
)
# Dsn raises a ValueError of its own.
sentry_address = text_that(lambda raw: bool(Dsn(raw)))


def is_one_host(address: str) -> bool:
    return "*" not in address and "//." not in address
