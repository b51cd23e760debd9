"""Roles on the operator's own server: DATABASE_URL names the owner, the other roles are made beside it."""

from collections.abc import Sequence
from functools import partial

import psycopg
from psycopg import sql

from carecollective.postgres import roles
from carecollective.postgres.dsn import ROLE_NAMES, SERVICE_ROLES, connect, derived_password
from carecollective.postgres.errors import PostgresError
from carecollective.postgres.ownership import find_other_site, mark_of, signs_in
from carecollective.postgres.pooling import refuse_shared_sessions

OLDEST, NEWEST = 15, 18


def prepare_server(database_url: str, *, secret_key: str, take_over: bool = False) -> str:
    """Create the roles and let them into the database.

    Args:
        take_over: Take the roles even if they belong to another site, or were made with another key.

    Returns:
        SQL that an administrator may run to take one more right away, or "".

    Raises PostgresError if the server or database is not supported, if a pooler in transaction mode stands in between, if the
    roles belong to another site, and, with the SQL for an administrator, if the owner may not do it.
    """
    passwords = {role: derived_password(role, secret_key) for role in SERVICE_ROLES}
    refuse_shared_sessions(lambda: connect(database_url, autocommit=True))
    with connect(database_url, autocommit=True) as connection:
        refuse_unsupported(connection)
        database, owner = connection.info.dbname, connection.info.user
        if owner in (ROLE_NAMES[role] for role in SERVICE_ROLES):
            raise PostgresError(f"DATABASE_URL must name the role that owns the database, not {owner}.")
        check = partial(_refuse_other_site, connection, database_url, secret_key, take_over=take_over)
        check()
        mark = mark_of(database, secret_key)
        try:
            try:
                roles.create_roles(connection, passwords=passwords, owner=owner, mark=mark, check=check)
            except (psycopg.errors.UniqueViolation, psycopg.errors.InternalError_):
                # Another site started at the same moment: an advisory lock holds in one database, but roles belong to the server.
                roles.create_roles(connection, passwords=passwords, owner=owner, mark=mark, check=check)
        except psycopg.errors.InsufficientPrivilege:
            if not all(_is_in_order(connection, database_url, role, secret_key) for role in SERVICE_ROLES):
                raise PostgresError(_request_to_administrator(connection, passwords, database, owner, mark)) from None
            if left_out := roles.missing_from_roles(connection, owner=owner):
                raise PostgresError(
                    f"The site's roles are not yet what they must be, and {owner} may not change them. Have an administrator of"
                    f" the server run this in {database}, then start again:\n{_as_lines(connection, left_out)}"
                ) from None
        refused = ""
        try:
            roles.grant_database(connection, database=database, owner=owner)
        except psycopg.errors.InsufficientPrivilege as problem:
            refused = str(problem.diag.message_primary)
        missing = roles.missing_grants(connection, database=database, owner=owner)
        if missing:
            raise PostgresError(
                f"The role {owner} may not give the site's roles their rights in {database}. Have an administrator of the"
                f" server run this in {database}, then start again:\n{_as_lines(connection, missing)}"
            )
        if refused:
            raise PostgresError(
                f"The role {owner} may not let the site's roles into {database}: {refused}. Everything there must belong to it."
            )
        if not roles.stores_large_objects(connection, "web"):
            return ""
        revoke = sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(roles.large_object_functions(connection))
        return revoke.as_string(connection)


def refuse_unsupported(connection: roles.Connection) -> None:
    """Raise PostgresError unless it is PostgreSQL 15 to 18, in UTF-8, and the role uses the schema public.

    Any collation is supported.
    """
    major, database, role = connection.info.server_version // 10_000, connection.info.dbname, connection.info.user
    if not OLDEST <= major <= NEWEST:
        raise PostgresError(
            f"PostgreSQL {OLDEST} to {NEWEST} is needed, and the server of {database} is version {major}."
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise PostgresError(
            f"The database {database} is encoded as {encoding}: create one with ENCODING 'UTF8' TEMPLATE template0, and name"
            " it in DATABASE_URL."
        )
    (schema,) = connection.execute("SELECT current_schema()").fetchone() or ("",)
    if schema != "public":
        found = f"in the schema {schema}" if schema else "in no schema"
        raise PostgresError(
            f"The role {role} works {found} of the database {database}, and everything of ours is in public: see that public"
            f' exists and that {role} may use it, and run ALTER ROLE "{role}" IN DATABASE "{database}" SET search_path = public.'
        )


def _refuse_other_site(connection: roles.Connection, database_url: str, secret_key: str, *, take_over: bool) -> None:
    other = None if take_over else find_other_site(connection, database_url=database_url, secret_key=secret_key)
    if other is not None:
        raise PostgresError(other)


def _is_in_order(connection: roles.Connection, database_url: str, role: str, secret_key: str) -> bool:
    """Tell whether the role is as it must be already, password included."""
    return roles.has_right_attributes(connection, role) and signs_in(database_url, role, secret_key)


def _request_to_administrator(
    connection: roles.Connection, passwords: dict[str, str], database: str, owner: str, mark: str
) -> str:
    names = [ROLE_NAMES[role] for role in SERVICE_ROLES]
    wanted = [*roles.role_statements(connection, passwords=passwords, owner=owner, mark=mark)]
    if all(roles.role_exists(connection, name) for name in names):
        wanted += roles.missing_grants(connection, database=database, owner=owner)
    else:
        ours = sql.SQL(", ").join(sql.Identifier(name) for name in names)
        wanted.append(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), ours))
    return (
        f"The role {owner} may not create the roles that the application runs as. "
        f"Have an administrator of the server run this in {database}, then start again:\n{_as_lines(connection, wanted)}"
    )


def _as_lines(connection: roles.Connection, statements: Sequence[sql.Composable]) -> str:
    return "\n".join(f"    {statement.as_string(connection)};" for statement in statements)
