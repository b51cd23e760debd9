"""Compares a live database with the snapshot: what is missing, what differs, and what is not in the snapshot."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from carecollective.core.catalog.reader import LiveCatalog
from carecollective.core.catalog.snapshot import DatabaseSnapshot, Facts
from carecollective.postgres.dsn import ROLE_NAMES

WEB, OPERATIONS, GUARD = ROLE_NAMES["web"], ROLE_NAMES["ops"], ROLE_NAMES["guard"]
OURS = frozenset({WEB, OPERATIONS, GUARD})
EVERYBODY = "public"
# The roles that serve members. A right for one of them always matters, even if the legacy system granted it.
SERVING = frozenset({WEB, GUARD, EVERYBODY})
# Default privileges let the operations role dump every new table.
READING = frozenset({"SELECT", "USAGE"})

# Settings that decide what members see, or whether anything can be written.
CRITICAL_SETTINGS = re.compile(
    r"app\.user_id|request\..*|search_path|row_security|session_replication_role|role|event_triggers"
    r"|default_transaction_read_only|lo_compat_privileges|(session|local|shared)_preload_libraries"
)
HIDES_THE_SERVERS = ", named like one of the server's"
# The legacy gateway names its caller by these, and our site never does: to our roles such a policy shows nothing.
_ASKS_THE_GATEWAY = re.compile(r"\bauth\.\w+\(|'request\.jwt")
_LITERAL_TYPE = re.compile(r"('(?:[^']|'')*')::[\w.]+")
_CLAUSES = re.compile(r" (?:USING|WITH CHECK) \((.*?)\)(?= WITH CHECK \(|$)")
_SWITCHED = re.compile(r" \((switched off|on replicas only|always)\)$|switched off$")

# Operations needs no rights on these. A schema named like the role comes first when names are looked up.
_NO_RELATION = re.compile(rf"pg_catalog\.|foreign |language |parameter |database$|schema {OPERATIONS}$")

# These do not stop the start: they give nobody access, or the start itself restores them.
STARTS_REGARDLESS = frozenset(
    {
        *("Casts", "Default privileges", "Event triggers", "Indexes", "Operators", "Publications", "Roles", "Settings"),
        "Subscriptions",
    }
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that differs. `expected` is None if it is not in the snapshot, `found` if it is missing."""

    part: str
    name: str
    expected: str | None
    found: str | None
    stops_start: bool


def find_catalog_differences(live: LiveCatalog) -> Iterator[Difference]:
    """Yield the differences, without things of the legacy system's own that give our roles nothing."""
    snapshot, expected = live.snapshot, live.expected
    gone = {*expected["Tables"], *expected["Views"]} - {*live.facts["Tables"], *live.facts.get("Views", ())}
    keys_gone = expected["Constraints"].keys() - live.facts["Constraints"].keys()
    for part in sorted({*expected, *live.facts}):
        agreed, found = expected.get(part, {}), live.facts.get(part, {})
        # Keys before the foreign keys on them, because the remedies run in this order.
        for name in sorted({*agreed, *found}, key=lambda name: (agreed.get(name, "").startswith("FOREIGN KEY"), name)):
            if is_same(part, agreed.get(name), found.get(name)):
                continue
            if part not in ("Tables", "Views") and gone & {name, owning_table(name), name.rpartition(" to ")[0]}:
                # The missing table is difference enough.
                continue
            if part == "Indexes" and name in keys_gone:
                # The constraint's remedy brings it back.
                continue
            if name in agreed:
                if not _is_secured_by_legacy(part, name, found.get(name), snapshot):
                    stops = part not in STARTS_REGARDLESS
                    yield Difference(part, name, agreed[name], found.get(name), stops)
            elif not _is_harmless(part, name, found[name], live):
                stops = part not in STARTS_REGARDLESS and _is_about_ours(part, name, found[name], snapshot)
                yield Difference(part, name, None, found[name], stops)


def pick_legacy_code(live: LiveCatalog) -> Facts:
    """Return the legacy functions, the triggers on shared tables, and the policies for everybody.

    All functions count, because it is unknown which ones a function calls.
    """
    snapshot = live.snapshot
    theirs = {
        part: {
            name: value for name, value in live.facts.get(part, {}).items() if name not in live.expected.get(part, {})
        }
        for part in ("Functions", "Policies", "Triggers")
    }
    return {
        "Functions": theirs["Functions"],
        "Policies": {
            name: value
            for name, value in theirs["Policies"].items()
            if owning_table(name) in snapshot.legacy_tables and EVERYBODY in roles_of(value)
        },
        "Triggers": {
            name: value for name, value in theirs["Triggers"].items() if owning_table(name) not in snapshot.own_tables
        },
    }


def find_changes(recorded: Facts, found: Facts) -> Iterator[Difference]:
    """Yield the changes of legacy code since the takeover. A new function alone is none: something must call it first."""
    for part in sorted({*recorded, *found}):
        then, now = recorded.get(part, {}), found.get(part, {})
        for name in sorted({*then, *now}):
            is_new_function = part == "Functions" and name not in then
            if then.get(name) != now.get(name) and not is_new_function:
                yield Difference(part, name, then.get(name), now.get(name), stops_start=False)


def is_same(part: str, agreed: str | None, found: str | None) -> bool:
    """Tell whether two values of a fact are the same."""
    if part != "Policies" or agreed is None or found is None:
        return agreed == found
    # PostgreSQL writes a column's type behind each literal that it compares with, and legacy columns may have other types.
    return _LITERAL_TYPE.sub(r"\1", agreed) == _LITERAL_TYPE.sub(r"\1", found)


def owning_table(name: str) -> str:
    """Return the table of `table.policy`, with its schema unless that is public."""
    return ".".join(split_name(name)[:-1])


def split_name(name: str) -> list[str]:
    """Split a name at its dots, outside of quotation marks."""
    return re.findall(r'"(?:[^"]|"")*"|[^."]+', name)


def _is_secured_by_legacy(part: str, name: str, found: str | None, snapshot: DatabaseSnapshot) -> bool:
    """Tell whether the legacy system secures a table for which the snapshot has no row-level security."""
    return (
        part == "Row-level security"
        and name in snapshot.legacy_tables
        and snapshot.ours[part][name].startswith("off")
        and (found or "").startswith("on")
    )


def _is_about_ours(part: str, name: str, value: str, snapshot: DatabaseSnapshot) -> bool:
    match part:
        case "Grants" | "Tables":
            return True
        case "Policies" if OURS & roles_of(value):
            return True
    return owning_table(name) in snapshot.own_tables


def _is_harmless(part: str, name: str, value: str, live: LiveCatalog) -> bool:  # noqa: PLR0912 -- a case for each part
    """Tell whether something outside the snapshot gives our roles no access that they should not have."""
    snapshot = live.snapshot
    known = snapshot.own_tables | snapshot.legacy_tables
    match part:
        case "Tables":
            return not value.startswith("foreign table")
        case "Views":
            told = known if live.made_here else snapshot.own_tables
            sources = value.partition(" over ")[2].partition(": ")[0].split(", ")
            return not told.intersection(sources)
        case "Row-level security":
            return True
        case "Columns" | "Constraints" | "Indexes":
            return owning_table(name) not in snapshot.own_tables
        case "Triggers":
            return owning_table(name) not in snapshot.own_tables and not _SWITCHED.search(value)
        case "Rules":
            return owning_table(name) not in known
        case "Inheritance":
            return not known.intersection(name.split(" of "))
        case "Policies":
            return owning_table(name) not in known or _is_harmless_policy(name, value, live)
        case "Functions":
            hides_the_servers = value.partition("\n")[0].endswith(HIDES_THE_SERVERS)
            return not (hides_the_servers or _is_open_definer(name, value, live) or _shares_name(name, snapshot))
        case "Grants":
            return _is_harmless_grant(name, value, live)
        case "Default privileges":
            return _is_harmless_default(name, value)
        case "Settings":
            return _is_harmless_setting(name)
        case "Publications":
            published = {one.removeprefix("public.") for one in value.split(", ")}
            return value != "every table" and not known.intersection(published)
    return False


def _is_harmless_policy(name: str, value: str, live: LiveCatalog) -> bool:
    """Tell whether a legacy policy shows our roles nothing more.

    A restrictive one never does. A permissive one is harmless behind our gate if it asks the legacy gateway for its member.
    """
    snapshot, table, roles = live.snapshot, owning_table(name), roles_of(value)
    if table in snapshot.own_tables or roles & OURS:
        return False
    asks_nothing = snapshot.ours["Row-level security"][table].startswith("off")
    if asks_nothing or value.startswith("AS RESTRICTIVE") or EVERYBODY not in roles:
        return True
    gate = f"{table}.carecollective_gate"
    if live.facts["Policies"].get(gate) != snapshot.ours["Policies"].get(gate):
        return False
    clauses = _CLAUSES.findall(value)
    return all(clause == "false" or _ASKS_THE_GATEWAY.search(clause) for clause in clauses)


def roles_of(policy: str) -> frozenset[str]:
    found = re.search(r"\bTO (.+?)(?: USING \(| WITH CHECK \(|$)", policy)
    return frozenset(found[1].split(", ")) if found else frozenset()


def _is_open_definer(name: str, value: str, live: LiveCatalog) -> bool:
    """Tell whether a serving role may run this function with its owner's rights."""
    if "SECURITY DEFINER" not in value or re.search(r"^ RETURNS (event_)?trigger$", value, re.MULTILINE):
        return False
    grants = live.facts["Grants"]
    schema = split_name(name.partition("(")[0])[:-1] or ["public"]
    may_enter = schema == ["public"] or any(f"schema {schema[0]} to {role}" in grants for role in SERVING)
    return may_enter and any(f"function {name} to {role}" in grants for role in SERVING)


def _shares_name(name: str, snapshot: DatabaseSnapshot) -> bool:
    """Tell whether a call of one of our functions could find this one instead."""
    return name.partition("(")[0] in {one.partition("(")[0] for one in snapshot.ours["Functions"]}


def _is_harmless_grant(name: str, value: str, live: LiveCatalog) -> bool:
    snapshot = live.snapshot
    thing, _to, grantee = name.rpartition(" to ")
    is_known = thing in snapshot.own_tables or thing in snapshot.legacy_tables
    if thing.startswith("function ") and not thing.startswith("function pg_catalog."):
        function = thing.removeprefix("function ")
        if function not in live.expected["Functions"]:
            # The case "Functions" judges the function itself.
            return True
        return grantee not in SERVING | OURS and "SECURITY DEFINER" not in live.facts["Functions"][function]
    if grantee in SERVING:
        return False
    if grantee == OPERATIONS:
        return not is_known and not _NO_RELATION.match(thing) and READING.issuperset(value.split(", "))
    return thing not in snapshot.own_tables and thing not in snapshot.own_sequences


def _is_harmless_default(name: str, value: str) -> bool:
    made, _to, grantee = name.rpartition(" to ")
    if grantee == OPERATIONS:
        return READING.issuperset(value.split(", "))
    return grantee not in SERVING and " of the owner" not in made


def _is_harmless_setting(name: str) -> bool:
    whose, _colon, setting = name.partition(": ")
    role = whose.removesuffix(" in this database")
    if role in (WEB, GUARD):
        return False
    if role == "the owner" and setting == "search_path":
        return True
    return not CRITICAL_SETTINGS.fullmatch(setting)
