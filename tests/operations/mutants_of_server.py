"""Breaks what the server keeps of the roles and their settings."""

from collections.abc import Collection, Iterator

from carecollective.core.catalog.snapshot import Facts
from tests.operations.mutant import GUARD, OPERATIONS, SOMEBODY, WEB, CatalogMutant

ATTRIBUTES = ("superuser", "bypassrls", "createdb", "createrole", "replication")
# What no role and no database may be told.
TELLING = {
    "app.user_id": "'00000000-0000-0000-0000-000000000001'",
    "request.jwt.claims": "'{}'",
    "search_path": "elsewhere",
    "row_security": "off",
    "session_replication_role": "replica",
    "default_transaction_read_only": "on",
    "lo_compat_privileges": "on",
    "role": "carecollective_ops",
    "session_preload_libraries": "'auto_explain'",
}


def walk(facts: Facts, database: str, predefined_roles: Collection[str]) -> Iterator[CatalogMutant]:
    yield from _roles(predefined_roles)
    yield from _settings(facts, database)


def _roles(predefined: Collection[str]) -> Iterator[CatalogMutant]:
    for role in (WEB, OPERATIONS, GUARD):
        for attribute in ATTRIBUTES:
            if (role, attribute) != (OPERATIONS, "bypassrls"):
                how = f"ALTER ROLE {role} {attribute.upper()};"
                yield CatalogMutant(f"{role} has {attribute}", how, "Roles", role, alone=True)
        yield CatalogMutant(f"{role} cannot sign in", f"ALTER ROLE {role} NOLOGIN;", "Roles", role, alone=True)
        how = f"ALTER ROLE {role} CONNECTION LIMIT 0;"
        yield CatalogMutant(f"{role} may open no session", how, "Roles", role, alone=True)
        how = f"ALTER ROLE {role} VALID UNTIL '2020-01-01';"
        yield CatalogMutant(f"{role} has run out", how, "Roles", role, alone=True)
        others = {WEB, OPERATIONS, GUARD, "carecollective_owner", *predefined} - {role}
        for other in sorted(others - {"carecollective_owner"} if role == OPERATIONS else others):
            how = f"GRANT {other} TO {role};"
            yield CatalogMutant(f"{role} belongs to {other}", how, "Roles", f"{role} belongs to", alone=True)
        how = f"{SOMEBODY} GRANT somebody TO {role};"
        yield CatalogMutant(f"{role} belongs to somebody", how, "Roles", f"{role} belongs to", alone=True)
        how = f"{SOMEBODY} GRANT {role} TO somebody;"
        yield CatalogMutant(f"somebody may become {role}", how, "Roles", f"{role} is open to", alone=True)
    how = f"{SOMEBODY} GRANT carecollective_owner TO somebody;"
    yield CatalogMutant("somebody may become the owner", how, "Roles", "the owner is open to", alone=True)
    yield CatalogMutant(
        "operations see no row", f"ALTER ROLE {OPERATIONS} NOBYPASSRLS;", "Roles", OPERATIONS, alone=True
    )


def _settings(facts: Facts, database: str) -> Iterator[CatalogMutant]:
    for fact in facts["Settings"]:
        role, _colon, setting = fact.partition(": ")
        yield CatalogMutant(f"{fact} is gone", f"ALTER ROLE {role} RESET {setting};", "Settings", fact)
        yield CatalogMutant(f"{fact} is longer", f"ALTER ROLE {role} SET {setting} = '1h';", "Settings", fact)
        here = f"{role} in this database: {setting}"
        how = f"ALTER ROLE {role} IN DATABASE {database} SET {setting} = '1h';"
        yield CatalogMutant(f"{here} is longer", how, "Settings", here)
    for setting, value in TELLING.items():
        for whose, target in {
            WEB: f"ROLE {WEB}",
            GUARD: f"ROLE {GUARD}",
            OPERATIONS: f"ROLE {OPERATIONS}",
            "every role": "ROLE ALL",
            "every role in this database": f"DATABASE {database}",
            f"{WEB} in this database": f"ROLE {WEB} IN DATABASE {database}",
        }.items():
            fact = f"{whose}: {setting}"
            yield CatalogMutant(f"{fact} is set", f"ALTER {target} SET {setting} = {value};", "Settings", fact)
    for setting in ("app.user_id", "request.jwt.claims", "session_replication_role"):
        how = f"ALTER ROLE carecollective_owner SET {setting} = {TELLING[setting]};"
        yield CatalogMutant(f"the owner: {setting} is set", how, "Settings", f"the owner: {setting}")
