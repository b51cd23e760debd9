"""Which site the roles of a server belong to, as the comment on each role says.

Roles belong to the whole server, and two sites that shared them would set each other's passwords.
"""

import hashlib
import hmac
import re

import psycopg

from carecollective.postgres.dsn import ROLE_NAMES, connect, derived_url
from carecollective.postgres.roles import Connection

MARK = re.compile(r"Care Collective: database (?P<database>.+), key (?P<key>[0-9a-f]{16})", re.DOTALL)
_WAY_ON = (
    "If nothing else uses these roles any more (the other site is gone, or its database was renamed or restored as"
    " {database}), run `manage.py create_roles --take-over`: whoever used them until now can then no longer sign in."
)


def mark_of(database: str, secret_key: str) -> str:
    """Return the comment that the site's roles carry: its database, and a digest that does not give the key away."""
    digest = hmac.digest(secret_key.encode(), b"carecollective owner of the database roles", hashlib.sha256)
    return f"Care Collective: database {database}, key {digest.hex()[:16]}"


def find_other_owner(connection: Connection, *, database_url: str, secret_key: str) -> str | None:
    """Return why the service roles on this server are not this site's, in a few sentences with the way on; None if they are.

    Roles without a mark (an administrator's, or those of an earlier version) are ours while they take our password.
    """
    database = connection.info.dbname
    wanted, way_on = mark_of(database, secret_key), _WAY_ON.format(database=database)
    for role in ("web", "ops", "guard"):
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
                    f" was made with another DJANGO_SECRET_KEY. A second site needs a PostgreSQL server of its own. {way_on}"
                )
        elif found["database"] != database:
            return (
                f"The roles carecollective_web, _ops and _guard on this server belong to the site in the database"
                f" {found['database']}. A second site needs a PostgreSQL server of its own. {way_on}"
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
