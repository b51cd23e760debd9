"""The database roles, and their rights outside of tables.

The migration that makes a table grants web and guard their rights on it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from carecollective.postgres import advisory_locks
from carecollective.postgres.dsn import ROLE_NAMES, SERVICE_ROLES

ATTRIBUTES: Mapping[str, tuple[str, LiteralString, LiteralString]] = {
    "rolsuper": ("superuser", "SUPERUSER", "NOSUPERUSER"),
    "rolbypassrls": ("bypassrls", "BYPASSRLS", "NOBYPASSRLS"),
    "rolcreatedb": ("createdb", "CREATEDB", "NOCREATEDB"),
    "rolcreaterole": ("createrole", "CREATEROLE", "NOCREATEROLE"),
    "rolreplication": ("replication", "REPLICATION", "NOREPLICATION"),
    "rolcanlogin": ("login", "LOGIN", "NOLOGIN"),
}
GRANTED_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    # The owner makes databases for the tests and for restore drills.
    "owner": frozenset({"login", "createdb"}),
    "web": frozenset({"login"}),
    "ops": frozenset({"login", "bypassrls"}),
    "guard": frozenset({"login"}),
}
STATEMENT_TIMEOUT_MS = 3500
TIME_LIMITS = {
    # Shorter than the client waits for an answer (bounded.py), so that the server ends the statement first.
    "statement_timeout": f"{STATEMENT_TIMEOUT_MS}ms",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "15s",
}
LIMITED_ROLES = ("web", "guard")
# Connections that the web role cannot take: when all of its own are in use, the guard, a rollback, a backup and an
# administrator still get in.
RESERVED_CONNECTIONS = 12

Connection = psycopg.Connection[Any]


def create_roles(
    connection: Connection,
    *,
    passwords: Mapping[str, str],
    owner: str,
    mark: str = "",
    check: Callable[[], None] = lambda: None,
) -> None:
    """Create the roles named in `passwords`, or change existing ones to what they must be.

    `mark` becomes the comment on each role: it says which site it belongs to. `check` may refuse by raising: it is called
    once the first role is changed, so that nobody else can change it any more. Safe to repeat, and to run twice at once.
    Raises InsufficientPrivilege.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [advisory_locks.ROLES])
        for place, (role, password) in enumerate(passwords.items()):
            for statement in role_statements(connection, passwords={role: password}, owner=owner, mark=mark):
                connection.execute(statement)
            if place == 0:
                check()


def role_statements(
    connection: Connection, *, passwords: Mapping[str, str], owner: str, mark: str = ""
) -> Iterable[sql.Composed | sql.SQL]:
    """Yield the statements that make the roles what they must be."""
    for role, password in passwords.items():
        name = owner if role == "owner" else ROLE_NAMES[role]
        # Hashed here, so that no password appears in a statement, a log or on an administrator's screen.
        verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
        changes = [*_attribute_changes(connection, role, name), sql.SQL("PASSWORD {}").format(verifier)]
        verb = sql.SQL("ALTER" if role_exists(connection, name) else "CREATE")
        yield sql.SQL("{} ROLE {} {}").format(verb, sql.Identifier(name), sql.SQL(" ").join(changes))
        if mark:
            yield sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(name), mark)
        if role == "ops":
            # The owner makes functions that belong to the operations role: they count rows that the owner may not see.
            yield let_act_as(connection, owner, name)
        if role in LIMITED_ROLES:
            yield from _limits_of(role, TIME_LIMITS)
        if role == "web":
            yield _connection_limit(connection)


def create_database(connection: Connection, *, database: str, owner: str) -> None:
    """Create the database if it is missing. The connection is a superuser's, in autocommit."""
    name = sql.Identifier(database)
    if not fetch_value(connection, "SELECT 1 FROM pg_database WHERE datname = %s", database):
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(owner)))


def grant_database(connection: Connection, *, database: str, owner: str) -> None:
    """Let the roles into the connection's database, without any right on tables of ours."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [advisory_locks.ROLES])
        for statement in database_statements(connection, database=database, owner=owner):
            connection.execute(statement)


def database_statements(connection: Connection, *, database: str, owner: str) -> Iterable[sql.Composed | sql.SQL]:
    """Yield the grants: schema public for all roles; for operations, reading all present and future tables."""
    ours = sql.SQL(", ").join(sql.Identifier(ROLE_NAMES[role]) for role in SERVICE_ROLES)
    ops, owns = sql.Identifier(ROLE_NAMES["ops"]), sql.Identifier(owner)
    yield sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), ours)
    # Temporary objects would come before all others when a function of ours names a type.
    yield sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
    yield sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    if connection.info.parameter_status("is_superuser") == "on":
        yield sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(large_object_functions(connection))
    yield sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(ours)
    if owner != connection.info.user:
        yield sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(owns)
    for kind in ("TABLES", "SEQUENCES"):
        yield sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT SELECT ON {} TO {}").format(owns, sql.SQL(kind), ops)
    yield sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT USAGE ON SCHEMAS TO {}").format(owns, ops)
    for schema in _schemas_with_tables(connection, owner):
        name = sql.Identifier(schema)
        yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(name, ops)
        for kind in ("TABLES", "SEQUENCES"):
            yield sql.SQL("GRANT SELECT ON ALL {} IN SCHEMA {} TO {}").format(sql.SQL(kind), name, ops)


def missing_grants(connection: Connection, *, database: str, owner: str) -> list[sql.Composed | sql.SQL]:
    """Return the statements that `grant_database` could not do: for a missing right, PostgreSQL only warns."""
    where, missing = sql.Identifier(database), list[sql.Composed | sql.SQL]()
    for role in (owner, *(ROLE_NAMES[role] for role in SERVICE_ROLES)):
        name = sql.Identifier(role)
        if not _may(connection, "database", role, database, "CONNECT"):
            missing.append(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(where, name))
        if not _may(connection, "schema", role, "public", "USAGE"):
            missing.append(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
    if not _may(connection, "schema", owner, "public", "CREATE"):
        missing.append(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(owner)))
    if _may(connection, "schema", ROLE_NAMES["web"], "public", "CREATE"):
        missing.append(sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        # The owner may have had the right through PUBLIC only.
        missing.append(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(owner)))
    if _may(connection, "database", ROLE_NAMES["web"], database, "TEMPORARY"):
        missing.append(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(where))
    return [*missing, *_missing_reading(connection, owner)]


def _missing_reading(connection: Connection, owner: str) -> Iterable[sql.Composed]:
    """Yield the statements that let operations read tables that the owner does not own."""
    owns = sql.Identifier(owner)
    both = sql.SQL(", ").join([owns, sql.Identifier(ROLE_NAMES["ops"])])
    for schema in _schemas_with_tables(connection, owner):
        if not _may(connection, "schema", ROLE_NAMES["ops"], schema, "USAGE"):
            yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), both)
        unreadable = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(%s))"
            " AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT pg_has_role(%s, relowner, 'USAGE')"
            " AND NOT has_table_privilege(%s, oid, 'SELECT') ORDER BY 1",
            [schema, owner, ROLE_NAMES["ops"]],
        )
        for (table,) in unreadable.fetchall():
            name = sql.Identifier(schema, table)
            # Everything in public is the site's own.
            take = sql.SQL("ALTER TABLE {} OWNER TO {}").format(name, owns)
            yield take if schema == "public" else sql.SQL("GRANT SELECT ON {} TO {}").format(name, both)


def missing_from_roles(connection: Connection, *, owner: str) -> list[sql.Composed]:
    """Return the statements that are still missing when an administrator made the roles.

    They let `owner` act as the operations role, and limit the time and the connections of the others.
    """
    missing = list[sql.Composed]()
    if not may_act_as(connection, owner, ROLE_NAMES["ops"]):
        missing.append(let_act_as(connection, owner, ROLE_NAMES["ops"]))
    for role in LIMITED_ROLES:
        found = fetch_value(
            connection,
            "SELECT coalesce(array_agg(split_part(setting, '=', 1)), '{}') FROM pg_db_role_setting, unnest(setconfig) AS setting"
            " WHERE setrole = to_regrole(%s)",
            ROLE_NAMES[role],
        )
        missing += _limits_of(role, {name: limit for name, limit in TIME_LIMITS.items() if name not in found})
    if fetch_value(connection, "SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", ROLE_NAMES["web"]) == -1:
        missing.append(_connection_limit(connection))
    return missing


def may_act_as(connection: Connection, role: str, other: str) -> bool:
    """Tell whether a role may act as another (SET ROLE), and so give it things that it owns."""
    # Since PostgreSQL 16 a membership may not include that.
    right = "SET" if connection.info.server_version >= 160_000 else "MEMBER"
    return fetch_value(connection, "SELECT pg_has_role(%s, %s, %s)", role, other, right) is True


def let_act_as(connection: Connection, role: str, other: str) -> sql.Composed:
    """Return the statement that lets a role act as another."""
    grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(other), sql.Identifier(role))
    return grant + sql.SQL(" WITH SET TRUE") if connection.info.server_version >= 160_000 else grant


def _limits_of(role: str, limits: Mapping[str, str]) -> Iterable[sql.Composed]:
    for setting, limit in limits.items():
        name = sql.Identifier(ROLE_NAMES[role])
        yield sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(setting), limit)


def _connection_limit(connection: Connection) -> sql.Composed:
    available: int = fetch_value(
        connection,
        "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int",
    )
    # On a small server the web role gets half.
    limit = sql.Literal(max(available - RESERVED_CONNECTIONS, available // 2))
    return sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(sql.Identifier(ROLE_NAMES["web"]), limit)


def _may(connection: Connection, kind: LiteralString, role: str, thing: str, right: str) -> bool:
    query = sql.SQL("SELECT {}(%s, %s, %s)").format(sql.Identifier(f"has_{kind}_privilege"))
    return fetch_value(connection, query, role, thing, right) is True


def role_exists(connection: Connection, name: str) -> bool:
    return connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is not None


def has_right_attributes(connection: Connection, role: str) -> bool:
    """Tell whether the role exists with exactly the attributes that it must have."""
    name = ROLE_NAMES[role]
    return role_exists(connection, name) and not _attribute_changes(connection, role, name)


def _attribute_changes(connection: Connection, role: str, name: str) -> list[sql.Composable]:
    # Only what differs: a role that may not grant SUPERUSER or BYPASSRLS may not even name them.
    columns = sql.SQL(", ").join(map(sql.Identifier, ATTRIBUTES))
    query = sql.SQL("SELECT {} FROM pg_roles WHERE rolname = %s").format(columns)
    found = connection.execute(query, [name]).fetchone() or (False,) * len(ATTRIBUTES)
    changes: list[sql.Composable] = []
    for has, (attribute, yes, no) in zip(found, ATTRIBUTES.values(), strict=True):
        wanted = attribute in GRANTED_ATTRIBUTES[role]
        if has != wanted:
            changes.append(sql.SQL(yes if wanted else no))
    return changes


def _schemas_with_tables(connection: Connection, owner: str) -> list[str]:
    rows = connection.execute(
        "SELECT DISTINCT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE pg_get_userbyid(c.relowner) = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'S')"
        " AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema' ORDER BY 1",
        [owner],
    ).fetchall()
    return [row[0] for row in rows]


def large_object_functions(connection: Connection) -> sql.Composed:
    """List the functions on large objects: we use none, and policies do not apply to them."""
    found = connection.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
        " AND (starts_with(proname, 'lo_') OR proname IN ('loread', 'lowrite')) ORDER BY 1"
    ).fetchall()
    # These names are the server's own; no user input is part of them.
    names: list[sql.Composable] = [sql.SQL(f"pg_catalog.{name}") for (name,) in found]
    return sql.SQL(", ").join(names)


def stores_large_objects(connection: Connection, role: str) -> bool:
    """Tell whether the role may store large objects. Only a superuser can revoke that, in each database."""
    query = "SELECT has_function_privilege(%s, 'pg_catalog.lo_create(oid)', 'EXECUTE')"
    return fetch_value(connection, query, ROLE_NAMES[role]) is True


def fetch_value(connection: Connection, query: LiteralString | sql.Composed, *parameters: object) -> Any:
    """Return the first column of the first row; None without a row."""
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None
