"""The servers and databases that the site supports."""

from carecollective.postgres.errors import PostgresError
from carecollective.postgres.roles import Connection

OLDEST, NEWEST = 15, 18


def refuse_unsupported(connection: Connection) -> None:
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
