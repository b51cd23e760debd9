"""Nobody is served by a process that the policies do not hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connection

# Every policy that holds the web role, table by table. The V1 tables have more, which are the legacy system's.
POLICIES: Mapping[str, frozenset[str]] = {
    "conversations_v2": frozenset({"participants_read", "helper_opens", "participants_close"}),
    "messages_v2": frozenset({"participants_read", "participants_send"}),
    "conversations": frozenset(
        {"carecollective_read", "carecollective_open", "carecollective_bump", "carecollective_gate"}
    ),
    "conversation_participants": frozenset({"carecollective_read", "carecollective_join", "carecollective_gate"}),
    "messages": frozenset({"carecollective_read", "carecollective_send", "carecollective_gate"}),
}
OURS_ALONE = frozenset({"conversations_v2", "messages_v2"})

# Both names count: whoever has taken on a role can put it down again.
_ROLES = """
SELECT r.rolname, r.rolsuper, r.rolbypassrls, ARRAY(
  SELECT other.rolname::text FROM pg_roles other
  WHERE (other.rolsuper OR other.rolbypassrls) AND other.oid <> r.oid AND pg_has_role(r.oid, other.oid, 'MEMBER')
  ORDER BY 1)
FROM pg_roles r WHERE r.rolname IN (session_user, current_user)
ORDER BY r.rolname = session_user DESC
"""
_TABLES = """
SELECT wanted.name, c.oid IS NOT NULL, pg_get_userbyid(c.relowner),
  coalesce(pg_has_role(session_user, c.relowner, 'MEMBER') OR pg_has_role(current_user, c.relowner, 'MEMBER'), false),
  c.relrowsecurity, c.relforcerowsecurity,
  ARRAY(SELECT p.polname::text FROM pg_policy p WHERE p.polrelid = c.oid)
FROM unnest(%s::text[]) AS wanted (name)
LEFT JOIN pg_class c ON c.relname = wanted.name AND c.relnamespace = 'public'::regnamespace
ORDER BY wanted.name
"""


@dataclass(frozen=True, slots=True)
class Danger:
    """One way around the policies: the number of its system check, and a sentence for whoever has to close it."""

    id: str
    sentence: str


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    exists: bool
    owner: str
    is_mine: bool
    is_secured: bool
    is_forced: bool
    policies: Sequence[str]


def refuse_unsafe_database() -> None:
    """Return only when the policies hold this connection.

    Raises ImproperlyConfigured with one sentence naming the role or the table, and what to do about it.
    """
    for danger in find_dangers():
        raise ImproperlyConfigured(danger.sentence)


def find_dangers() -> Iterator[Danger]:
    """Yield what would let this connection around the policies, the role's own powers first."""
    with connection.cursor() as cursor:
        cursor.execute(_ROLES)
        roles = cursor.fetchall()
        cursor.execute(_TABLES, [list(POLICIES)])
        tables = [_Table(*row) for row in cursor.fetchall()]
    for role in roles:
        yield from _dangers_of_role(*role)
    # A superuser belongs to every role; said once, that is enough.
    is_superuser = any(role[1] for role in roles)
    for table in tables:
        yield from _dangers_of_table(table, role="" if is_superuser else roles[0][0])


def _dangers_of_role(name: str, is_superuser: bool, bypasses: bool, reachable: list[Any]) -> Iterator[Danger]:
    if is_superuser:
        yield Danger("core.E001", f"The site must not connect as {name}, a superuser: {_REMEDY}")
    elif bypasses:
        yield Danger("core.E002", f"The site must not connect as {name}, which bypasses row-level security: {_REMEDY}")
    elif reachable:
        yield Danger(
            "core.E002",
            f"The site must not connect as {name}, a member of {reachable[0]}, which bypasses row-level security: {_REMEDY}",
        )


def _dangers_of_table(table: _Table, *, role: str) -> Iterator[Danger]:
    if not table.exists:
        yield Danger("core.E006", f"The table {table.name} is missing: run `manage.py migrate`.")
        return
    if table.is_mine and role:
        yield Danger(
            "core.E003",
            f"The site must not connect as {role}, which owns the table {table.name} or belongs to {table.owner}: {_REMEDY}",
        )
    if not table.is_secured:
        yield Danger("core.E004", f"Row-level security is off on the table {table.name}: {_REPAIR}")
    elif table.name in OURS_ALONE and not table.is_forced:
        yield Danger("core.E004", f"Row-level security is not forced on the table {table.name}: {_REPAIR}")
    missing = POLICIES[table.name].difference(table.policies)
    if missing:
        yield Danger("core.E005", f"The table {table.name} lacks the policy {min(missing)}: {_REPAIR}")
    strangers = set(table.policies) - POLICIES[table.name]
    if strangers and table.name in OURS_ALONE:
        yield Danger(
            "core.E005", f"The table {table.name} has a policy of unknown purpose, {min(strangers)}: {_REPAIR}"
        )


_REMEDY = "run `manage.py create_roles` and let it connect as carecollective_web."
_REPAIR = "restore it as the migrations made it."
