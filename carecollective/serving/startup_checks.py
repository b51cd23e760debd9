"""Refuse to start if this connection can get round the row-level security."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connection, transaction

from carecollective.core.catalog.comparison import CRITICAL_SETTINGS, Difference, find_catalog_differences, split_name
from carecollective.core.catalog.reader import read_live_catalog
from carecollective.core.catalog.snapshot import load_snapshot

# Both roles count: a session can go back from SET ROLE.
_ROLES = """
SELECT r.rolname, r.rolsuper, r.rolbypassrls, ARRAY(
  SELECT other.rolname::text FROM pg_roles other
  WHERE (other.rolsuper OR other.rolbypassrls) AND other.oid <> r.oid AND pg_has_role(r.oid, other.oid, 'MEMBER')
  ORDER BY 1), coalesce(current_setting('app.user_id', true), '')
FROM pg_roles r WHERE r.rolname IN (session_user, current_user)
ORDER BY r.rolname = session_user DESC
"""
_OWNED = """
SELECT c.relname, pg_get_userbyid(c.relowner) FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%s)
AND (pg_has_role(session_user, c.relowner, 'MEMBER') OR pg_has_role(current_user, c.relowner, 'MEMBER'))
ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class Danger:
    """One way around the policies: the id of its system check, and a sentence that says how to close it."""

    id: str
    sentence: str


def refuse_unsafe_database() -> None:
    """Raise ImproperlyConfigured if this connection can get round the policies, with what to do about it."""
    for danger in find_dangers():
        raise ImproperlyConfigured(danger.sentence)


@register(Tags.database)
def check_that_policies_hold(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[Error]:
    """Report every way around the policies, for the web role alone: the owner may change the policies."""
    if DEFAULT_DB_ALIAS not in (databases or ()) or settings.DATABASE_ROLE != "web":
        return []
    return [Error(danger.sentence, id=danger.id) for danger in find_dangers()]


def find_dangers() -> Iterator[Danger]:
    """Yield every way around the policies for this connection, the powers of its role first."""
    snapshot = load_snapshot()
    secured = [name for name, state in snapshot.ours["Row-level security"].items() if state.startswith("on")]
    is_fresh = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_ROLES)
        roles = cursor.fetchall()
        cursor.execute(_OWNED, [list(snapshot.ours["Tables"])])
        owned = cursor.fetchall()
        live = read_live_catalog(cursor)
    for name, is_superuser, bypasses, reachable, _member in roles:
        yield from _dangers_of_role(name, is_superuser, bypasses, reachable)
    differences = list(find_catalog_differences(live))
    for table in secured:
        if table not in live.facts["Tables"]:
            yield Danger("core.E006", f"The table {table} is missing: `manage.py verify_messaging` says what to do.")
    # A superuser is a member of every role, and was reported above.
    for table, owner in owned if not any(role[1] for role in roles) else ():
        yield Danger(
            "core.E003",
            f"The site must not connect as {roles[0][0]}, which owns the table {table} or belongs to {owner}: {_REMEDY}",
        )
    for difference in differences:
        yield from _dangers_of_difference(difference, secured, {name for name, *_rest in roles})
    # Inside a transaction a member may be acting.
    if is_fresh and roles[0][-1]:
        yield Danger(
            "core.E007",
            "Every connection begins as one and the same member: take app.user_id out of the server's settings.",
        )


def _dangers_of_role(name: str, is_superuser: bool, bypasses: bool, reachable: list[Any]) -> Iterator[Danger]:
    sentence = f"The site must not connect as {name}, {{}}: {_REMEDY}"
    if is_superuser:
        yield Danger("core.E001", sentence.format("a superuser"))
    elif bypasses:
        yield Danger("core.E002", sentence.format("which bypasses row-level security"))
    elif reachable:
        yield Danger("core.E002", sentence.format(f"a member of {reachable[0]}, which bypasses row-level security"))


def _dangers_of_difference(difference: Difference, secured: list[str], roles: set[str]) -> Iterator[Danger]:
    match difference.part:
        case "Row-level security" if difference.name in secured and difference.found:
            how = "off" if difference.found.startswith("off") else "not forced"
            yield Danger("core.E004", f"Row-level security is {how} on the table {difference.name}: {_REPAIR}")
        case "Policies" if difference.stops_start:
            *table, policy = split_name(difference.name)
            yield Danger("core.E005", f"The table {'.'.join(table)} {_describe(policy, difference)}: {_REPAIR}")
        case "Settings" if _is_telling(difference, roles):
            yield Danger(
                "core.E007",
                f"The setting “{difference.name}” is {difference.found!r}: reset it, as `manage.py verify_messaging` shows.",
            )


def _describe(policy: str, difference: Difference) -> str:
    if difference.expected is None:
        return f"has a policy of unknown purpose, {policy}"
    return f"lacks the policy {policy}" if difference.found is None else f"has another policy {policy} than agreed"


def _is_telling(difference: Difference, roles: set[str]) -> bool:
    scope, _colon, setting = difference.name.partition(": ")
    return (
        difference.expected is None
        and scope.removesuffix(" in this database") in {"every role", "the server", *roles}
        and CRITICAL_SETTINGS.fullmatch(setting) is not None
    )


_REMEDY = "run `manage.py create_roles` and let it connect as carecollective_web."
_REPAIR = "restore it as the migrations made it; `manage.py verify_messaging` shows how."
