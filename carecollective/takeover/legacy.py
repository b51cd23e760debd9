"""The restored legacy database: is it here, is it taken over, and checksums of its rows."""

from pathlib import Path

from django.db import connection, transaction

SAMPLE = Path(__file__).parent / "sample"
V1_TABLES = ("conversations", "conversation_participants", "messages")


def is_there() -> bool:
    """Tell whether this database has the legacy system's sign-ins (auth.users)."""
    return _exists("auth", "users")


def is_empty() -> bool:
    """Tell whether this database has no table at all."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT NOT EXISTS (SELECT FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema'))"
        )
        return bool(cursor.fetchone()[0])


def is_waiting() -> bool:
    """Tell whether there is a legacy database that is not taken over yet."""
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
            # data.sql begins and ends its own transaction, for use with psql.
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
        # to_regclass() would need the right to use the schema.
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = %s AND tablename = %s)", [schema, table]
        )
        return bool(cursor.fetchone()[0])
