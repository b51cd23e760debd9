"""Legacy tables that the takeover cannot do without."""

from collections.abc import Iterator

from carecollective.core.database import fetch_all
from carecollective.takeover.preflight.findings import PreflightFinding

# Each of the three V1 tables is taken as it is or made together with the other two.
NEEDED = (
    ("auth", "users"),
    *(("public", table) for table in ("profiles", "conversations", "conversation_participants", "messages")),
)


def find_missing_tables() -> Iterator[PreflightFinding]:
    """Look for the tables by schema and name."""
    there = set(fetch_all("SELECT schemaname, tablename FROM pg_tables"))
    for schema, table in NEEDED:
        if (schema, table) not in there:
            yield PreflightFinding(
                problem=f"The table {schema}.{table} of the legacy database is missing.",
                remedy=f"Restore the schema {schema} of the legacy dump into this database, and run the check again.",
            )
