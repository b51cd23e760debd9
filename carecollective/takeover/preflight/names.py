"""Names of the site's tables, columns and functions that the legacy database already uses."""

from collections.abc import Iterator

from carecollective.core.catalog.snapshot import load_snapshot
from carecollective.core.database import fetch_all
from carecollective.takeover.kept_out import list_unreadable_restrictions
from carecollective.takeover.preflight.findings import PreflightFinding

ASIDE = "before_care_collective"
_TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')"
)
_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2
"""
_FUNCTIONS = "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"


def find_name_conflicts() -> Iterator[PreflightFinding]:
    """Look for every name that a migration will use, such as tables of an earlier attempt at V2."""
    if _is_migrated():
        return
    ours = load_snapshot()
    for (table,) in fetch_all(_TABLES):
        if table in ours.own_tables:
            yield PreflightFinding(
                f"There is already a table public.{table}, and the site makes one of that name.",
                "As the owner, set it aside, where its rows stay as they are for SQL to read:"
                f" CREATE SCHEMA IF NOT EXISTS {ASIDE}; ALTER TABLE public.{table} SET SCHEMA {ASIDE};",
            )
    for table, column, kind in fetch_all(_COLUMNS, [sorted(ours.legacy_tables)]):
        if f"{table}.{column}" in ours.ours["Columns"]:
            yield PreflightFinding(
                f"There is already a column public.{table}.{column} ({kind}), and the site adds one of that name.",
                "As the owner, set it aside, where its values stay as they are:"
                f" ALTER TABLE public.{table} RENAME COLUMN {column} TO legacy_{column};",
            )
    for (function,) in fetch_all(_FUNCTIONS):
        if function in ours.ours["Functions"]:
            yield PreflightFinding(
                f"There is already a function public.{function}, and the site makes one of that name.",
                f"As the owner, set it aside: CREATE SCHEMA IF NOT EXISTS {ASIDE};"
                f" ALTER FUNCTION public.{function} SET SCHEMA {ASIDE};",
            )


def find_unreadable_restrictions() -> Iterator[PreflightFinding]:
    """Look for tables that seem to restrict members, but have no column that names a member."""
    for table in list_unreadable_restrictions():
        yield PreflightFinding(
            f"The table {table} seems to hold restrictions, and has no column user_id, member_id, profile_id or account_id.",
            'Look into it, and after the takeover untick "may sign in" in the admin for each member whom it shuts out.',
            stops=False,
        )


def _is_migrated() -> bool:
    """Tell whether an earlier run has made our tables: then the names in use are our own."""
    if not fetch_all("SELECT to_regclass('public.django_migrations') IS NOT NULL")[0][0]:
        return False
    return bool(fetch_all("SELECT EXISTS (SELECT FROM public.django_migrations WHERE app = 'adoption')")[0][0])
