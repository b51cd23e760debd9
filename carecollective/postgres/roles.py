"""The roles that the database knows, and what each may do before any table exists.

What web and guard may do with a table is granted by the migration that makes the table.
"""

from collections.abc import Iterable, Mapping
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from carecollective.postgres import advisory_locks
from carecollective.postgres.dsn import ROLE_NAMES

ATTRIBUTES: Mapping[str, tuple[str, LiteralString, LiteralString]] = {
    "rolsuper": ("superuser", "SUPERUSER", "NOSUPERUSER"),
    "rolbypassrls": ("bypassrls", "BYPASSRLS", "NOBYPASSRLS"),
    "rolcreatedb": ("createdb", "CREATEDB", "NOCREATEDB"),
    "rolcreaterole": ("createrole", "CREATEROLE", "NOCREATEROLE"),
    "rolreplication": ("replication", "REPLICATION", "NOREPLICATION"),
    "rolcanlogin": ("login", "LOGIN", "NOLOGIN"),
}
GRANTED_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    # Databases for the tests are the owner's to make.
    "owner": frozenset({"login", "createdb"}),
    "web": frozenset({"login"}),
    "ops": frozenset({"login", "bypassrls"}),
    "guard": frozenset({"login"}),
}
STATEMENT_TIMEOUT_MS = 3500
TIME_LIMITS = {
    # Less than what the client waits for an answer (bounded.py): the server's word comes first.
    "statement_timeout": f"{STATEMENT_TIMEOUT_MS}ms",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "15s",
}
LIMITED_ROLES = ("web", "guard")
# Of the server's connections, those that the web role cannot take: with all of its own in use, the guard still watches,
# and a rollback, a backup and an administrator still get in.
KEPT_FREE = 12

Connection = psycopg.Connection[Any]


def create_roles(connection: Connection, *, passwords: Mapping[str, str], owner: str, mark: str = "") -> None:
    """Create the roles named in `passwords`, or bring those that exist to what they must be.

    `mark` becomes the comment on each, by which the site that they belong to is known. Safe to repeat and to run twice at
    once. Raises InsufficientPrivilege where `connection` may not.
    """
    with connection.transaction():
        _wait_for_others(connection)
        for statement in role_statements(connection, passwords=passwords, owner=owner, mark=mark):
            connection.execute(statement)


def role_statements(
    connection: Connection, *, passwords: Mapping[str, str], owner: str, mark: str = ""
) -> Iterable[sql.Composed | sql.SQL]:
    """Yield the statements that are missing between the roles as they are and as they must be."""
    for role, password in passwords.items():
        name = owner if role == "owner" else ROLE_NAMES[role]
        # Hashed here, so that no password stands in a statement, in a log or on an administrator's screen.
        verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
        changes = [*_attribute_changes(connection, role, name), sql.SQL("PASSWORD {}").format(verifier)]
        verb = sql.SQL("ALTER" if role_exists(connection, name) else "CREATE")
        yield sql.SQL("{} ROLE {} {}").format(verb, sql.Identifier(name), sql.SQL(" ").join(changes))
        if mark:
            yield sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(name), mark)
        if role == "ops":
            # So that the owner can give the operations role the functions that count what the owner itself may not see.
            yield let_act_as(connection, owner, name)
        if role in LIMITED_ROLES:
            yield from _limits_of(role, TIME_LIMITS)
        if role == "web":
            yield _connection_limit(connection)


def create_database(connection: Connection, *, database: str, owner: str) -> None:
    """Create the database where it is missing; `connection` is in autocommit and belongs to a superuser."""
    name = sql.Identifier(database)
    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(owner)))


def grant_database(connection: Connection, *, database: str, owner: str) -> None:
    """Open the database that `connection` is in to the roles, as far as no table is concerned."""
    with connection.transaction():
        _wait_for_others(connection)
        for statement in database_statements(connection, database=database, owner=owner):
            connection.execute(statement)


def database_statements(connection: Connection, *, database: str, owner: str) -> Iterable[sql.Composed | sql.SQL]:
    """Yield what lets the roles in: schema public for all, reading all that there is and will be for operations."""
    ours = sql.SQL(", ").join(sql.Identifier(ROLE_NAMES[role]) for role in ("web", "ops", "guard"))
    ops, owns = sql.Identifier(ROLE_NAMES["ops"]), sql.Identifier(owner)
    yield sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), ours)
    # A schema of temporary things would come before all others wherever a function of ours names a type.
    yield sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
    yield sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    if _is_superuser(connection):
        yield sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(large_object_functions(connection))
    yield sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(ours)
    if owner != _current_user(connection):
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
    """Return the statements that `grant_database` could not do: PostgreSQL only warns who may not grant or revoke."""
    where, missing = sql.Identifier(database), list[sql.Composed | sql.SQL]()
    for role in (owner, *(ROLE_NAMES[role] for role in ("web", "ops", "guard"))):
        name = sql.Identifier(role)
        if not _may(connection, "database", role, database, "CONNECT"):
            missing.append(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(where, name))
        if not _may(connection, "schema", role, "public", "USAGE"):
            missing.append(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
    if not _may(connection, "schema", owner, "public", "CREATE"):
        missing.append(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(owner)))
    if _may(connection, "schema", ROLE_NAMES["web"], "public", "CREATE"):
        missing.append(sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        # The owner may have had it as one of all.
        missing.append(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(owner)))
    if _may(connection, "database", ROLE_NAMES["web"], database, "TEMPORARY"):
        missing.append(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(where))
    return [*missing, *_missing_reading(connection, owner)]


def _missing_reading(connection: Connection, owner: str) -> Iterable[sql.Composed]:
    """Yield what lets operations read what belongs to somebody else, beside the owner's tables."""
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
            # All in public is the site's own.
            take = sql.SQL("ALTER TABLE {} OWNER TO {}").format(name, owns)
            yield take if schema == "public" else sql.SQL("GRANT SELECT ON {} TO {}").format(name, both)


def missing_from_roles(connection: Connection, *, owner: str) -> list[sql.Composed]:
    """Return the statements that an administrator left out who made the roles.

    They let `owner` act as the operations role, and limit how long and how often the others hold the database.
    """
    missing = list[sql.Composed]()
    if not may_act_as(connection, owner, ROLE_NAMES["ops"]):
        missing.append(let_act_as(connection, owner, ROLE_NAMES["ops"]))
    for role in LIMITED_ROLES:
        found = connection.execute(
            "SELECT coalesce(array_agg(split_part(setting, '=', 1)), '{}') FROM pg_db_role_setting, unnest(setconfig) AS setting"
            " WHERE setrole = to_regrole(%s)",
            [ROLE_NAMES[role]],
        ).fetchone()
        given = {name: limit for name, limit in TIME_LIMITS.items() if found is None or name not in found[0]}
        missing += _limits_of(role, given)
    found = connection.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", [ROLE_NAMES["web"]]).fetchone()
    if found == (-1,):
        missing.append(_connection_limit(connection))
    return missing


def may_act_as(connection: Connection, role: str, other: str) -> bool:
    """Tell whether a role may act as another, and so give it what it owns."""
    # Since 16 a membership may come without that.
    right = "SET" if connection.info.server_version >= 160_000 else "MEMBER"
    return connection.execute("SELECT pg_has_role(%s, %s, %s)", [role, other, right]).fetchone() == (True,)


def let_act_as(connection: Connection, role: str, other: str) -> sql.Composed:
    """Return the statement by which a role may act as another."""
    grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(other), sql.Identifier(role))
    return grant + sql.SQL(" WITH SET TRUE") if connection.info.server_version >= 160_000 else grant


def _limits_of(role: str, limits: Mapping[str, str]) -> Iterable[sql.Composed]:
    for setting, limit in limits.items():
        name = sql.Identifier(ROLE_NAMES[role])
        yield sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(setting), limit)


def _connection_limit(connection: Connection) -> sql.Composed:
    limit = sql.Literal(_connections_for_web(connection))
    return sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(sql.Identifier(ROLE_NAMES["web"]), limit)


def _may(connection: Connection, kind: LiteralString, role: str, thing: str, right: str) -> bool:
    query = sql.SQL("SELECT {}(%s, %s, %s)").format(sql.Identifier(f"has_{kind}_privilege"))
    return connection.execute(query, [role, thing, right]).fetchone() == (True,)


def role_exists(connection: Connection, name: str) -> bool:
    return connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is not None


def has_right_attributes(connection: Connection, role: str) -> bool:
    """Tell whether the role exists and can do neither more nor less than it must."""
    name = ROLE_NAMES[role]
    return role_exists(connection, name) and not _attribute_changes(connection, role, name)


def _attribute_changes(connection: Connection, role: str, name: str) -> list[sql.Composable]:
    # Only what differs: naming SUPERUSER or BYPASSRLS at all is refused to who may not grant it.
    columns = sql.SQL(", ").join(map(sql.Identifier, ATTRIBUTES))
    query = sql.SQL("SELECT {} FROM pg_roles WHERE rolname = %s").format(columns)
    found = connection.execute(query, [name]).fetchone() or (False,) * len(ATTRIBUTES)
    changes: list[sql.Composable] = []
    for has, (attribute, yes, no) in zip(found, ATTRIBUTES.values(), strict=True):
        wanted = attribute in GRANTED_ATTRIBUTES[role]
        if has != wanted:
            changes.append(sql.SQL(yes if wanted else no))
    return changes


def _connections_for_web(connection: Connection) -> int:
    row = connection.execute(
        "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    ).fetchone()
    # A server too small for that gives the web half.
    return max(int(row[0]) - KEPT_FREE, int(row[0]) // 2) if row else -1


def _schemas_with_tables(connection: Connection, owner: str) -> list[str]:
    rows = connection.execute(
        "SELECT DISTINCT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE pg_get_userbyid(c.relowner) = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'S')"
        " AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema' ORDER BY 1",
        [owner],
    ).fetchall()
    return [row[0] for row in rows]


def large_object_functions(connection: Connection) -> sql.Composed:
    """List the functions on large objects: nothing of ours uses them, and no policy holds what is stored with them."""
    found = connection.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
        " AND (starts_with(proname, 'lo_') OR proname IN ('loread', 'lowrite')) ORDER BY 1"
    ).fetchall()
    # The server's own names of its own functions: nothing in them is quoted or comes from outside.
    names: list[sql.Composable] = [sql.SQL(f"pg_catalog.{name}") for (name,) in found]
    return sql.SQL(", ").join(names)


def stores_large_objects(connection: Connection, role: str) -> bool:
    """Tell whether the role may store large objects. Only a superuser can take that away, in each database."""
    found = connection.execute(
        "SELECT has_function_privilege(%s, 'pg_catalog.lo_create(oid)', 'EXECUTE')", [ROLE_NAMES[role]]
    ).fetchone()
    return bool(found and found[0])


def _is_superuser(connection: Connection) -> bool:
    found = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    return bool(found and found[0])


def _current_user(connection: Connection) -> str:
    row = connection.execute("SELECT current_user").fetchone()
    return str(row[0]) if row else ""


def _wait_for_others(connection: Connection) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [advisory_locks.ROLES])
