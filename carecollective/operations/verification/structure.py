"""Compares the live database with the snapshot and the playbook's counts. Any role may run it."""

from collections.abc import Iterator, Mapping, Sequence

from django.apps import apps
from django.db import connection
from django.db.models import Field

from carecollective.core.catalog.comparison import Difference, find_catalog_differences, owning_table
from carecollective.core.catalog.reader import Executes, LiveCatalog, read_live_catalog
from carecollective.core.catalog.snapshot import Facts
from carecollective.operations.verification.checks import Check, compare
from carecollective.operations.verification.parts import read_parts
from carecollective.operations.verification.remedies import V2_TABLES, find_remedy

# The playbook's numbers, section 1.4.
COLUMNS: Mapping[str, int] = {"conversations_v2": 8, "messages_v2": 6}
INDEXES: Mapping[str, int] = {"conversations_v2": 5, "messages_v2": 3}
POLICIES = 5
SEE_BELOW = "See what differs, below."

# The playbook numbers its five queries; other groups have names.
_GROUPS = {
    "Tables": "1 Tables",
    "Columns": "1 Tables",
    "Indexes": "3 Indexes",
    "Row-level security": "4 Row-level security",
    "Policies": "5 Policies",
}
# PostgreSQL's own names of types that Django abbreviates.
_LONG_NAMES = {"varchar": "character varying", "time": "time without time zone"}
# Django made its own tables between two models with the wider type.
_COMPATIBLE = {("integer", "bigint")}


def check_structure(cursor: Executes) -> Sequence[Check]:
    """Compare everything that decides who may read or write with the snapshot."""
    live = read_live_catalog(cursor)
    return [*_check_counts(live.facts), *_check_facts(live)]


def check_models(cursor: Executes) -> Sequence[Check]:
    """Check that every column of every model exists with its type. Legacy tables may have more columns."""
    parts = read_parts(cursor)
    kept = {(part.table, part.name): part.words.removesuffix(" not null") for part in parts if part.kind == "column"}
    wrong: list[str] = []
    models = [model for model in apps.get_models(include_auto_created=True) if not model._meta.proxy]
    columns = 0
    for model in models:
        for field in model._meta.concrete_fields:
            if field.column is None:
                continue
            columns += 1
            found = kept.get((model._meta.db_table, field.column))
            if found != _type_of(field) and (_type_of(field), found) not in _COMPATIBLE:
                wrong.append(f"{model._meta.db_table}.{field.column} is {found or 'missing'}")
    summary = f"{columns} columns of {len(models)} models"
    remedy = "" if not wrong else "Run `manage.py migrate`; what is wrong afterwards has to be changed by hand."
    return [Check("Drift", "models and tables", summary, "; ".join(wrong) or summary, not wrong, remedy)]


def _check_counts(facts: Facts) -> Iterator[Check]:
    """Count what the playbook's five queries count."""
    for table, count in COLUMNS.items():
        found = _count(facts, "Columns", table)
        yield compare("1 Tables", table, f"{count} columns", f"{found} columns" if found else "missing", SEE_BELOW)
    for table, count in INDEXES.items():
        yield compare("3 Indexes", table, count, _count(facts, "Indexes", table), SEE_BELOW)
    for table in V2_TABLES:
        found_security = facts["Row-level security"].get(table, "missing")
        yield compare("4 Row-level security", table, "on and forced", found_security, SEE_BELOW)
    policies = sum(_count(facts, "Policies", table) for table in V2_TABLES)
    yield compare("5 Policies", "both V2 tables", POLICIES, policies, SEE_BELOW)


def _count(facts: Facts, part: str, table: str) -> int:
    return sum(owning_table(name) == table for name in facts.get(part, {}))


def _check_facts(live: LiveCatalog) -> Iterator[Check]:
    differences = list(find_catalog_differences(live))
    for part in sorted({*live.expected, *(difference.part for difference in differences)}):
        wrong = [difference for difference in differences if difference.part == part]
        summary = f"{len(live.expected.get(part, {}))} as agreed"
        if not wrong:
            yield Check(_GROUPS.get(part, part), part.lower(), summary, summary, ok=True)
        for difference in wrong:
            yield as_check(difference, live)


def as_check(difference: Difference, live: LiveCatalog) -> Check:
    """Return the failed check of one difference."""
    return Check(
        _GROUPS.get(difference.part, difference.part),
        difference.name,
        difference.expected or "nothing",
        difference.found or "missing",
        ok=False,
        remedy=find_remedy(difference, live),
        stops_start=difference.stops_start,
    )


def _type_of(field: "Field[object, object]") -> str:
    kind = field.db_type(connection) or ""
    name, bracket, size = kind.partition("(")
    return _LONG_NAMES.get(name, name) + bracket + size.replace(", ", ",")
