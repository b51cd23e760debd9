"""The restored legacy database: is it here, is it taken over, and checksums of its rows."""

from pathlib import Path

from django.db import connection, transaction

from carecollective.core.database import fetch_all

SAMPLE = Path(__file__).parent / "sample"
V1_TABLES = ("conversations", "conversation_participants", "messages")


def is_there() -> bool:
    """Tell whether this database has the legacy system's sign-ins (auth.users)."""
    return _exists("auth", "users")


def is_empty() -> bool:
    """Tell whether this database has no table at all."""
    return not fetch_all("SELECT FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') LIMIT 1")


def is_waiting() -> bool:
    """Tell whether there is a legacy database that is not taken over yet."""
    if not is_there():
        return False
    return not _exists("public", "adoption_takeover") or not fetch_all("SELECT FROM adoption_takeover LIMIT 1")


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
    rows_as_text = "coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')"
    for table in V1_TABLES:
        ((rows, checksum),) = fetch_all(f"SELECT count(*), md5({rows_as_text}) FROM {table} t")  # noqa: S608 -- our own names
        found[table] = f"{rows} rows, {checksum}"
    return found


def _exists(schema: str, table: str) -> bool:
    # to_regclass() would need the right to use the schema.
    return bool(fetch_all("SELECT FROM pg_tables WHERE schemaname = %s AND tablename = %s", [schema, table]))
