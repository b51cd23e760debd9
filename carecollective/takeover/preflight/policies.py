"""Legacy row-level security that blocks our roles, or that is missing."""

from collections.abc import Iterator

from carecollective.core.database import fetch_all
from carecollective.takeover.legacy import V1_TABLES
from carecollective.takeover.preflight.columns import TABLES
from carecollective.takeover.preflight.findings import PreflightFinding

# The roles of the legacy platform that its policies are meant for.
PLATFORM_ROLES = ("authenticated", "anon", "service_role")

_POLICIES = """
SELECT p.polname, c.oid, p.polrelid::regclass::text, p.polpermissive, p.polcmd IN ('r', '*'), c.relrowsecurity, c.relname,
       -- The tables that the policy's own subqueries read.
       ARRAY(SELECT DISTINCT found[1]::oid
             FROM regexp_matches(concat(p.polqual::text, p.polwithcheck::text), ':relid (\\d+)', 'g') found)
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
WHERE 0 = ANY (p.polroles) AND NOT starts_with(p.polname::text, 'carecollective_')
ORDER BY 3, 1
"""
_ROLES = "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s) ORDER BY array_position(%s, rolname::text)"
_SECURITY = """
SELECT c.relname, c.relrowsecurity, row_security_active(c.oid), pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE')
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%s) AND c.relkind IN ('r', 'p')
ORDER BY 1
"""
_OPEN_TO_ALL = """
SELECT format('%I.%I', n.nspname, c.relname), string_agg(DISTINCT a.privilege_type, ', ' ORDER BY a.privilege_type)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
WHERE a.grantee = 0 AND n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') GROUP BY 1 ORDER BY 1
"""


def find_tables_open_to_everybody() -> Iterator[PreflightFinding]:
    """Look for rights of everybody (PUBLIC): the site does not start with them."""
    for table, rights in fetch_all(_OPEN_TO_ALL):
        yield PreflightFinding(
            f"Everybody on the server has {rights} on {table}, and the site does not start while that is so.",
            f"As the owner: REVOKE {rights} ON {table} FROM PUBLIC;",
        )


def find_blocking_policies() -> Iterator[PreflightFinding]:
    """Look for policies for everybody that restrict, or that read their own table and so fail for every role.

    The server ignores all others where a policy of ours says `true`.
    """
    policies = fetch_all(_POLICIES)
    theirs = _legacy_roles()
    reads: dict[int, set[int]] = {}
    for _name, table, _called, _permits, is_for_reading, is_on, _relname, asked in policies:
        if is_on and is_for_reading:
            reads.setdefault(table, set()).update(asked)
    for name, table, called, permits, is_for_reading, is_on, relname, asked in policies:
        if not is_on or relname not in TABLES:
            continue
        remedy = f'As the owner, leave it to the legacy roles alone: ALTER POLICY "{name}" ON {called} TO {theirs};'
        if not permits:
            yield PreflightFinding(
                f"The policy {name} on {called} restricts every role, so that the site would see or write less.", remedy
            )
        # A policy for writing may read its table, unless reading that is restricted in turn, as by our gate.
        elif (is_for_reading or relname in V1_TABLES or reads.get(table)) and any(
            table in _reached(start, reads) for start in asked
        ):
            yield PreflightFinding(
                f"The policy {name} on {called} reads {called} again, which the server refuses for every role that it holds.",
                remedy,
            )


def find_inaccessible_tables() -> Iterator[PreflightFinding]:
    """Look for tables that the owner role does not own or cannot read whole, and V1 tables without security."""
    for table, is_on, is_held, owner, is_ours in fetch_all(_SECURITY, [list(TABLES)]):
        if not is_ours:
            yield PreflightFinding(
                f"The table {table} belongs to {owner}, so that the takeover may not change it.",
                f"As an administrator: ALTER TABLE public.{table} OWNER TO the role in DATABASE_URL;"
                " or restore the dump again with --no-owner as that role.",
            )
        elif is_held:
            yield PreflightFinding(
                f"Row-level security is forced on {table}, so that the takeover itself does not see every row.",
                f"As the owner: ALTER TABLE public.{table} NO FORCE ROW LEVEL SECURITY;",
            )
        if table in V1_TABLES and not is_on:
            yield PreflightFinding(
                f"Row-level security is off on {table}, and the site does not start without it.",
                f"As the owner: ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY;",
            )


def _legacy_roles() -> str:
    roles = [name for (name,) in fetch_all(_ROLES, [list(PLATFORM_ROLES), list(PLATFORM_ROLES)])]
    return ", ".join(roles) or "CURRENT_USER"


def _reached(start: int, reads: dict[int, set[int]]) -> set[int]:
    """Return the tables that reading `start` reads, directly or through policies of other tables."""
    reached: set[int] = set()
    waiting = {start}
    while waiting:
        reached |= waiting
        waiting = {one for table in waiting for one in reads.get(table, ())} - reached
    return reached
