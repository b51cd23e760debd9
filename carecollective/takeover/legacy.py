"""The legacy database as it was restored: whether it is there, and what its rows are worth to compare."""

from pathlib import Path

from django.db import connection, transaction

SAMPLE = Path(__file__).parent / "sample"
V1_TABLES = ("conversations", "conversation_participants", "messages")


def is_there() -> bool:
    """Tell whether this database holds the legacy system's sign-ins, which only it has."""
    return _exists("auth", "users")


def is_empty() -> bool:
    """Tell whether this database holds no table of anybody's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT NOT EXISTS (SELECT FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema'))"
        )
        return bool(cursor.fetchone()[0])


def is_waiting() -> bool:
    """Tell whether a legacy database is here that nobody has taken over yet."""
    if not is_there():
        return False
    with connection.cursor() as cursor:
        if not _exists("public", "adoption_takeover"):
            return True
        cursor.execute("SELECT NOT EXISTS (SELECT FROM adoption_takeover)")
        return bool(cursor.fetchone()[0])


def load_sample() -> None:
    """Load the sample of a legacy database, all of it or nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        for name in ("schema.sql", "data.sql"):
            text = (SAMPLE / name).read_text(encoding="utf-8")
            # The files can also be fed to psql, for which data.sql opens and ends a transaction of its own.
            statements = text.replace("\nBEGIN;\n", "\n").removesuffix("COMMIT;\n")
            cursor.connection.cursor().execute(statements)


def checksums() -> dict[str, str]:
    """Return a checksum of each V1 table's rows, every column included."""
    found = {}
    with connection.cursor() as cursor:
        for table in V1_TABLES:
            rows_as_text = "coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')"
            cursor.execute(f"SELECT count(*), md5({rows_as_text}) FROM {table} t")  # noqa: S608 -- our own names
            rows, checksum = cursor.fetchone()
            found[table] = f"{rows} rows, {checksum}"
    return found


def _exists(schema: str, table: str) -> bool:
    with connection.cursor() as cursor:
        # Not to_regclass(): that needs the right to use the schema.
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = %s AND tablename = %s)", [schema, table]
        )
        return bool(cursor.fetchone()[0])
