"""Whether the messaging tables are as agreed: the playbook's queries, and what they leave out. Any role may ask."""

from collections.abc import Iterator, Sequence

from django.apps import apps
from django.db import connection
from django.db.models import Field, Model

from carecollective.core.startup import POLICIES
from carecollective.operations import expectations
from carecollective.operations.catalog import Executes, Part, read_catalog
from carecollective.operations.checks import Check, compare, compare_names

# The names by which PostgreSQL itself goes, for those that Django abbreviates.
_LONG_NAMES = {"varchar": "character varying", "time": "time without time zone"}
# Django's own tables between two models were made with the wider of the two.
_AS_GOOD = {("integer", "bigint")}


def check_structure(cursor: Executes) -> Sequence[Check]:
    """Compare the messaging tables with what was agreed, in one statement."""
    parts = read_catalog(cursor, expectations.TABLES)
    return [
        *_check_tables(parts),
        *_check_indexes(parts),
        *_check_security(parts),
        *_check_policies(parts),
        *_check_constraints(parts),
        *_check_triggers(parts),
        *_check_grants(parts),
    ]


def check_models(cursor: Executes) -> Sequence[Check]:
    """Look for every column of every model, by name and type. Legacy tables may have more."""
    parts = read_catalog(cursor)
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
            if found != _type_of(field) and (_type_of(field), found) not in _AS_GOOD:
                wrong.append(f"{model._meta.db_table}.{field.column} is {found or 'missing'}")
    said = f"{columns} columns of {len(models)} models"
    return [Check("Drift", "models and tables", said, "; ".join(wrong) or said, not wrong)]


def _check_tables(parts: Sequence[Part]) -> Iterator[Check]:
    for table, count in expectations.COLUMNS.items():
        found = [part for part in parts if part.kind == "column" and part.table == table]
        yield compare("1 Tables", table, f"{count} columns", f"{len(found)} columns" if found else "missing")
        model = _model_of(table)
        expected = {f"{field.column} {_type_of(field)} not null" for field in model._meta.concrete_fields}
        yield compare_names(
            "1 Tables", f"{table} by name and type", expected, {f"{one.name} {one.words}" for one in found}
        )


def _check_indexes(parts: Sequence[Part]) -> Iterator[Check]:
    for table, count in expectations.INDEXES.items():
        found = [part for part in parts if part.kind == "index" and part.table == table]
        yield compare("3 Indexes", table, count, len(found))
        valid = {part.name for part in found if part.sound}
        named = {index.name for index in _model_of(table)._meta.indexes}
        yield compare_names("3 Indexes", f"{table} by name, valid", named, valid, more=True)


def _check_security(parts: Sequence[Part]) -> Iterator[Check]:
    states = {part.table: part.words for part in parts if part.kind == "table"}
    for table in expectations.V2_TABLES:
        yield compare("4 Row-level security", table, "on and forced", _security(states.get(table, "")))


def _check_policies(parts: Sequence[Part]) -> Iterator[Check]:
    policies = [part for part in parts if part.kind == "policy"]
    of_v2 = [part for part in policies if part.table in expectations.V2_TABLES]
    yield compare("5 Policies", "both V2 tables", expectations.POLICIES, len(of_v2))
    for table, names in POLICIES.items():
        found = {part.name for part in policies if part.table == table}
        yield compare_names("5 Policies", table, names, found, more=table in expectations.V1_TABLES)
    for_others = sorted(f"{part.table}.{part.name}" for part in of_v2 if f" to {expectations.WEB} " not in part.words)
    yield compare("5 Policies", "V2's for the web role alone", "yes", ", ".join(for_others) or "yes")


def _check_constraints(parts: Sequence[Part]) -> Iterator[Check]:
    for table in expectations.V2_TABLES:
        model = _model_of(table)
        found = [part for part in parts if part.kind == "constraint" and part.table == table and part.sound]
        named = {constraint.name for constraint in model._meta.constraints}
        yield compare_names("Constraints", table, named, {part.name for part in found}, more=True)
        foreign = {f"f on {field.column}" for field in model._meta.concrete_fields if field.remote_field}
        words = {part.words for part in found if part.words.startswith("f ")}
        yield compare_names("Constraints", f"{table}, foreign keys", foreign, words)


def _check_triggers(parts: Sequence[Part]) -> Iterator[Check]:
    triggers = [part for part in parts if part.kind == "trigger"]
    for table in expectations.TABLES:
        enabled = {part.name for part in triggers if part.table == table and part.sound}
        expected = expectations.TRIGGERS.get(table, frozenset())
        if table not in expectations.V1_TABLES or expected:
            more = table in expectations.V1_TABLES
            yield compare_names("Triggers", table, expected, enabled, more=more)
    asleep = sorted(f"{part.table}.{part.name}" for part in triggers if not part.sound)
    yield compare("Triggers", "switched off", "none", ", ".join(asleep) or "none")


def _check_grants(parts: Sequence[Part]) -> Iterator[Check]:
    given = {(part.table, part.name): part.words for part in parts if part.kind == "grant"}
    for table, roles in expectations.GRANTS.items():
        for role, expected in roles.items():
            yield compare("Grants", f"{table} to {role}", expected, given.get((table, role), "nothing"))
    for table in expectations.V2_TABLES:
        others = sorted(role for (one, role) in given if one == table and role not in expectations.GRANTS[table])
        yield compare("Grants", f"{table} to anybody else", "nothing", ", ".join(others) or "nothing")


def _security(words: str) -> str:
    on, forced = "security t" in words, "forced t" in words
    return ("on and forced" if forced else "on, not forced") if on else "off" if words else "missing"


def _model_of(table: str) -> type[Model]:
    return next(model for model in apps.get_app_config("messaging_v2").get_models() if model._meta.db_table == table)


def _type_of(field: "Field[object, object]") -> str:
    kind = field.db_type(connection) or ""
    name, bracket, size = kind.partition("(")
    return _LONG_NAMES.get(name, name) + bracket + size.replace(", ", ",")
