"""Which site a server's roles belong to: a comment on each role says it.

Roles belong to the whole server, and two sites that shared them would set each other's passwords.
"""

import hashlib
import hmac
import re

import psycopg

from carecollective.postgres.dsn import ROLE_NAMES, SERVICE_ROLES, connect, derived_url
from carecollective.postgres.roles import Connection

MARK = re.compile(r"Care Collective: database (?P<database>.+), key (?P<key>[0-9a-f]{16})", re.DOTALL)
_REMEDY = (
    "If nothing else uses these roles any more (the other site is gone, or its database was renamed or restored as"
    " {database}), run `manage.py create_roles --take-over`: sites that used them until now can then no longer sign in."
)


def mark_of(database: str, secret_key: str) -> str:
    """Return the comment for this site's roles: its database, and a digest that does not reveal the key."""
    digest = hmac.digest(secret_key.encode(), b"carecollective owner of the database roles", hashlib.sha256)
    return f"Care Collective: database {database}, key {digest.hex()[:16]}"


def find_other_site(connection: Connection, *, database_url: str, secret_key: str) -> str | None:
    """Return None if the service roles are this site's; otherwise why not and what to do.

    Roles without a comment (made by an administrator or an earlier version) are ours if they take our password.
    """
    database = connection.info.dbname
    wanted, remedy = mark_of(database, secret_key), _REMEDY.format(database=database)
    for role in SERVICE_ROLES:
        name = ROLE_NAMES[role]
        row = connection.execute(
            "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = %s", [name]
        ).fetchone()
        if row is None or row[0] == wanted:
            continue
        found = MARK.fullmatch(row[0] or "")
        if found is None:
            if not signs_in(database_url, role, secret_key):
                return (
                    f"The role {name} on this server does not take this site's password: it belongs to another site, or"
                    f" was made with another DJANGO_SECRET_KEY. A second site needs a PostgreSQL server of its own. {remedy}"
                )
        elif found["database"] != database:
            return (
                f"The roles carecollective_web, _ops and _guard on this server belong to the site in the database"
                f" {found['database']}. A second site needs a PostgreSQL server of its own. {remedy}"
            )
        else:
            return (
                "The roles on this server were made with another DJANGO_SECRET_KEY: every host of the site needs the same."
                " To change the key, set the new one on every host, run `manage.py create_roles --take-over` once, and"
                " restart the site on every host."
            )
    return None


def signs_in(database_url: str, role: str, secret_key: str) -> bool:
    """Tell whether the role takes the password that this site's key gives it."""
    try:
        connect(derived_url(database_url, role, secret_key)).close()
    except psycopg.OperationalError:
        return False
    return True
