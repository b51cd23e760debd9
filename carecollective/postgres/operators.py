"""Roles on a server that the operator brought: the role in DATABASE_URL owns, the others are made beside it."""

import psycopg
from psycopg import sql

from carecollective.postgres import roles
from carecollective.postgres.errors import PostgresError
from carecollective.postgres.urls import ROLE_NAMES, derived_password, derived_url

MADE_HERE = ("web", "ops", "guard")


def prepare_server(database_url: str, *, secret_key: str) -> str:
    """Create the roles and let them into the database; return the SQL that would take more away, where the owner may not.

    Raises PostgresError with the SQL that an administrator must run where the owner may not do it.
    """
    passwords = {role: derived_password(role, secret_key) for role in MADE_HERE}
    with psycopg.connect(database_url, autocommit=True) as connection:
        database, owner = connection.info.dbname, connection.info.user
        if owner in (ROLE_NAMES[role] for role in MADE_HERE):
            raise PostgresError(f"DATABASE_URL must name the role that owns the database, not {owner}.")
        try:
            roles.create_roles(connection, passwords=passwords, owner=owner)
        except psycopg.errors.InsufficientPrivilege:
            if not all(_is_in_order(connection, database_url, role, secret_key) for role in MADE_HERE):
                raise PostgresError(_request_to_administrator(connection, passwords, database, owner)) from None
        roles.grant_database(connection, database=database, owner=owner)
        if not roles.stores_large_objects(connection, "web"):
            return ""
        revoke = sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(roles.large_object_functions(connection))
        return revoke.as_string(connection)


def _is_in_order(connection: roles.Connection, database_url: str, role: str, secret_key: str) -> bool:
    """Tell whether an administrator has already made the role as it must be, password included."""
    if not roles.has_right_attributes(connection, role):
        return False
    try:
        psycopg.connect(derived_url(database_url, role, secret_key), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _request_to_administrator(
    connection: roles.Connection, passwords: dict[str, str], database: str, owner: str
) -> str:
    wanted = [
        *roles.role_statements(connection, passwords=passwords, owner=owner),
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
            sql.Identifier(database), sql.SQL(", ").join(sql.Identifier(ROLE_NAMES[role]) for role in MADE_HERE)
        ),
    ]
    lines = "\n".join(f"    {statement.as_string(connection)};" for statement in wanted)
    return (
        f"The role {owner} may not create the roles that the application runs as. "
        f"Have an administrator of the server run this in {database}, then start again:\n{lines}"
    )
