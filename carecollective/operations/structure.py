"""Whether the messaging tables are as agreed: the playbook's queries, and what they leave out. Any role may ask."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from django.apps import apps
from django.db import connection
from django.db.models import Field, ForeignKey, Model, UniqueConstraint

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
        *_check_functions(parts),
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
        named = _indexes_of(_model_of(table))
        yield compare_names("3 Indexes", f"{table} by name, valid", named.keys(), valid, more=True)
        words = {
            part.name: _plain(part.words).removeprefix(f"CREATE INDEX {part.name} ON {table} USING ") for part in found
        }
        yield from _compare_words("3 Indexes", named, words)


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
    expected = {
        f"{table}.{name}": words
        for table, definitions in expectations.POLICY_DEFINITIONS.items()
        for name, words in definitions.items()
    }
    yield from _compare_words(
        "5 Policies", expected, {f"{part.table}.{part.name}": _plain(part.words) for part in policies}
    )
    for_others = sorted(f"{part.table}.{part.name}" for part in of_v2 if f" to {expectations.WEB} " not in part.words)
    yield compare("5 Policies", "V2's for the web role alone", "yes", ", ".join(for_others) or "yes")


def _check_constraints(parts: Sequence[Part]) -> Iterator[Check]:
    for table in expectations.V2_TABLES:
        model = _model_of(table)
        found = [part for part in parts if part.kind == "definition" and part.table == table]
        valid = {part.name for part in found if part.sound}
        named = _constraints_of(model)
        yield compare_names("Constraints", table, named.keys(), valid, more=True)
        yield from _compare_words("Constraints", named, {part.name: _plain(part.words) for part in found})
        # Their names end in a digest of Django's.
        foreign = {_plain(part.words) for part in found if part.words.startswith("FOREIGN KEY ")}
        yield compare_names("Constraints", f"{table}, foreign keys", _foreign_keys_of(model), foreign)


def _check_triggers(parts: Sequence[Part]) -> Iterator[Check]:
    triggers = [part for part in parts if part.kind == "trigger"]
    for table in expectations.TABLES:
        of_table = [part for part in triggers if part.table == table]
        enabled = {part.name for part in of_table if part.sound}
        expected = expectations.TRIGGERS.get(table, {})
        if table not in expectations.V1_TABLES or expected:
            more = table in expectations.V1_TABLES
            yield compare_names("Triggers", table, expected.keys(), enabled, more=more)
            words = {part.name: _plain(part.words).removeprefix(f"CREATE TRIGGER {part.name} ") for part in of_table}
            yield from _compare_words("Triggers", expected, words)
    asleep = sorted(f"{part.table}.{part.name}" for part in triggers if not part.sound)
    yield compare("Triggers", "switched off", "none", ", ".join(asleep) or "none")


def _check_functions(parts: Sequence[Part]) -> Iterator[Check]:
    # Who may call one is not asked: a server may give that to roles of its own.
    found = {_plain(part.name): part.words[: part.words.index(": ") + 34] for part in parts if part.kind == "function"}
    yield from _compare_words("Functions", expectations.FUNCTIONS, found)


def _check_grants(parts: Sequence[Part]) -> Iterator[Check]:
    given = {(part.table, part.name): part.words for part in parts if part.kind == "grant"}
    for table, roles in expectations.GRANTS.items():
        for role, expected in roles.items():
            yield compare("Grants", f"{table} to {role}", expected, given.get((table, role), "nothing"))
    for table in expectations.V2_TABLES:
        others = sorted(role for (one, role) in given if one == table and role not in expectations.GRANTS[table])
        yield compare("Grants", f"{table} to anybody else", "nothing", ", ".join(others) or "nothing")


def _compare_words(group: str, expected: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Check]:
    for name, words in expected.items():
        yield compare(group, name, words, found.get(name, "missing"))


def _plain(words: str) -> str:
    """Return a definition on one line, without the schema, which is named or not by who asks."""
    return " ".join(words.split()).replace("public.", "")


def _security(words: str) -> str:
    on, forced = "security t" in words, "forced t" in words
    return ("on and forced" if forced else "on, not forced") if on else "off" if words else "missing"


def _model_of(table: str) -> type[Model]:
    return next(model for model in apps.get_app_config("messaging_v2").get_models() if model._meta.db_table == table)


def _indexes_of(model: type[Model]) -> Mapping[str, str]:
    return {index.name: f"btree ({_columns(model, index.fields)})" for index in model._meta.indexes}


def _constraints_of(model: type[Model]) -> Mapping[str, str]:
    """Return the model's constraints, their conditions as they were agreed in PostgreSQL's words, and its key."""
    key = {f"{model._meta.db_table}_pkey": f"PRIMARY KEY ({model._meta.pk.column})"}
    return key | {
        constraint.name: f"UNIQUE ({_columns(model, constraint.fields)})"
        if isinstance(constraint, UniqueConstraint)
        else expectations.CHECKS[constraint.name]
        for constraint in model._meta.constraints
    }


def _foreign_keys_of(model: type[Model]) -> Sequence[str]:
    return [
        f"FOREIGN KEY ({field.column}) REFERENCES {field.related_model._meta.db_table}({field.target_field.column})"
        " DEFERRABLE INITIALLY DEFERRED"
        for field in model._meta.concrete_fields
        if isinstance(field, ForeignKey)
    ]


def _columns(model: type[Model], fields: Iterable[str]) -> str:
    names = {field.name: str(field.column) for field in model._meta.concrete_fields}
    return ", ".join(names[name] for name in fields)


def _type_of(field: "Field[object, object]") -> str:
    kind = field.db_type(connection) or ""
    name, bracket, size = kind.partition("(")
    return _LONG_NAMES.get(name, name) + bracket + size.replace(", ", ",")
