"""Connection URLs (DSNs) of the database roles, and Django's settings for them."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from carecollective.postgres.embedded.credentials import passwords
from carecollective.postgres.embedded.layout import DataDirectory
from carecollective.postgres.errors import PostgresError

DATABASE = "carecollective"
ROLE_NAMES = {
    "owner": "carecollective_owner",
    "web": "carecollective_web",
    "ops": "carecollective_ops",
    "guard": "carecollective_guard",
}
# The roles that the site itself runs as, beside the owner of the tables.
SERVICE_ROLES = ("web", "ops", "guard")
SUPERUSER = "postgres"
UNREADABLE = (
    "{name} cannot be read: write every character of the password but letters and digits percent-encoded (@ as %40,"
    " / as %2F), and behind a ? only parameters that PostgreSQL knows."
)
# How long the network may be silent, in seconds (tcp_user_timeout: milliseconds). libpq's shortest connect_timeout is 2.
# They apply to TCP only, and the URL's own parameters override them.
CONNECT_SECONDS = 2
NETWORK_LIMITS = {
    "connect_timeout": str(CONNECT_SECONDS),
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",
}


def connection_url(data_dir: Path, role: str = "web", database: str = DATABASE) -> str:
    """Return the embedded server's URL for one role, whether or not the server runs."""
    name = SUPERUSER if role == "superuser" else _name_of(role)
    return build_url(
        {
            "user": name,
            "password": passwords(data_dir)[role],
            "dbname": database,
            "host": str(DataDirectory(data_dir).sockets),
        }
    )


def derived_url(database_url: str, role: str, secret_key: str) -> str:
    """Return an operator's URL for one role: the owner's as given, the others with a password of their own."""
    name = _name_of(role)
    if role == "owner":
        return database_url
    return build_url({**parse_url(database_url), "user": name, "password": derived_password(role, secret_key)})


def derived_password(role: str, secret_key: str) -> str:
    """Return the password of a role on an operator's server: the same as long as the secret key is the same."""
    digest = hmac.digest(secret_key.encode(), f"carecollective database role {role}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def database_settings(url: str) -> dict[str, Any]:
    """Return Django's settings for the database behind this URL."""
    parameters = parse_url(url)
    return {
        "ENGINE": "carecollective.postgres.backend",
        "NAME": parameters.pop("dbname", ""),
        "USER": parameters.pop("user", ""),
        "PASSWORD": parameters.pop("password", ""),
        "HOST": parameters.pop("host", ""),
        "PORT": parameters.pop("port", ""),
        # With binding on the client, messages would be part of the statements and so of the server's log.
        "OPTIONS": {**NETWORK_LIMITS, **parameters, "server_side_binding": True},
    }


def check_direct_url(url: str, direct_url: str) -> None:
    """Raise PostgresError with one sentence unless DATABASE_DIRECT_URL can be read and names DATABASE_URL's database."""
    database = parse_url(direct_url, name="DATABASE_DIRECT_URL").get("dbname")
    if not url or database != parse_url(url).get("dbname"):
        raise PostgresError("DATABASE_DIRECT_URL must name the same database as DATABASE_URL, by the same name.")


def pooled_settings(url: str, direct_url: str) -> dict[str, Any]:
    """Return Django's settings for a role that reaches the database through a pooler.

    Args:
        url: The role's URL through the pooler.
        direct_url: The role's URL without the pooler. `DIRECT` keeps it for connections that need a session of their own.
    """
    direct = database_settings(direct_url)
    return {
        **database_settings(url),
        "DIRECT": {name: direct[name] for name in ("HOST", "PORT", "OPTIONS")},
        # A server-side cursor would outlive its transaction and then be looked for in another session.
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }


def connect(url: str, **options: Any) -> psycopg.Connection[Any]:
    """Connect to the database of a URL, with NETWORK_LIMITS. Raises psycopg.OperationalError."""
    return psycopg.connect(build_url({**NETWORK_LIMITS, **parse_url(url)}), **options)  # noqa: TID251 -- here it does not


def why_unreachable(problem: Exception) -> str:
    """Return in one line why there is no connection."""
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]


def describe_unreachable(problem: Exception) -> str | None:
    """Return a sentence if Django's error means that there is no connection; None if a server answered."""
    cause = problem.__cause__
    if not isinstance(cause, psycopg.OperationalError) or cause.sqlstate is not None:
        return None
    return f"The database cannot be reached: {why_unreachable(problem)}"


def parse_url(url: str, *, name: str = "DATABASE_URL") -> dict[str, str]:
    """Return the URL's parameters as libpq itself reads them. Raises PostgresError, which names the variable `name`."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise PostgresError(f"{name} must be postgresql://user:password@host:port/database.")
    # After an @ or / that is not encoded, part of the password would count as host or database, and errors name these.
    authority, _slash, path = url.partition("?")[0].partition("://")[2].partition("/")
    try:
        if authority.count("@") > 1 or "@" in path:
            raise PostgresError(UNREADABLE.format(name=name))
        parameters = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error:
        # libpq's own message repeats the URL, and with it the password.
        raise PostgresError(UNREADABLE.format(name=name)) from None
    if not all(port.isdecimal() for port in parameters.get("port", "").split(",") if port):
        raise PostgresError(f"{name} must have a number for its port.")
    return parameters


def build_url(parameters: Mapping[str, str]) -> str:
    """Return the parameters as one URL that libpq and psql understand."""
    rest = dict(parameters)
    user = quote(rest.pop("user", ""), safe="")
    password = quote(rest.pop("password", ""), safe="")
    database = quote(rest.pop("dbname", ""), safe="")
    host, port = rest.get("host", ""), rest.get("port", "")
    place = ""
    # Folders, lists of hosts and IPv6 addresses go into the query string, which needs no special syntax for them.
    if host and not set("/,:@").intersection(host) and "," not in port:
        place = quote(host, safe="") + (f":{port}" if port else "")
        rest.pop("host")
        rest.pop("port", None)
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in rest.items())
    return f"postgresql://{login}{place}/{database}" + (f"?{query}" if query else "")


def _name_of(role: str) -> str:
    try:
        return ROLE_NAMES[role]
    except KeyError:
        raise PostgresError(f"DATABASE_ROLE must be owner, web, ops or guard, not {role!r}.") from None
