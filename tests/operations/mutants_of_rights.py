"""Gives rights that nobody agreed on, and takes away those that were agreed: on tables, columns, functions and the rest."""

from collections.abc import Iterator

from carecollective.core.catalog.comparison import OURS, owning_table, split_name
from carecollective.core.catalog.snapshot import DatabaseSnapshot, Facts
from tests.operations.mutant import GUARD, OPERATIONS, SOMEBODY, WEB, CatalogMutant

TABLE_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
COLUMN_RIGHTS = ("SELECT", "INSERT", "UPDATE", "REFERENCES")
ROLES = (WEB, GUARD, OPERATIONS, "public")
OWNERS = "ALTER DEFAULT PRIVILEGES FOR ROLE carecollective_owner"


def walk(facts: Facts, snapshot: DatabaseSnapshot, database: str) -> Iterator[CatalogMutant]:
    yield from _on_tables(facts, snapshot)
    yield from _on_columns(facts)
    yield from _on_functions(facts)
    yield from _taken_and_passed_on(facts)
    yield from _on_the_rest(database)
    yield from _by_default(facts)


def _on_tables(facts: Facts, snapshot: DatabaseSnapshot) -> Iterator[CatalogMutant]:
    for table in [*facts["Tables"], *facts["Views"]]:
        for role in ROLES:
            fact = f"{table} to {role}"
            held = facts["Grants"].get(fact, "").split(", ")
            for right in TABLE_RIGHTS:
                if right not in held:
                    how = f"GRANT {right} ON {table} TO {role};"
                    yield CatalogMutant(f"{role} may {right} {table}", how, "Grants", fact)
        if table in snapshot.own_tables:
            for right in ("SELECT", "INSERT", "UPDATE"):
                how = f"{SOMEBODY} GRANT {right} ON {table} TO somebody;"
                yield CatalogMutant(f"a stranger may {right} {table}", how, "Grants", f"{table} to somebody")
    for sequence in sorted({fact.rpartition(" to ")[0] for fact in facts["Grants"] if "_seq to " in fact}):
        for role in (*ROLES, "somebody"):
            fact = f"{sequence} to {role}"
            for right in ("USAGE", "SELECT", "UPDATE"):
                # Operations reads whatever there is.
                if role != OPERATIONS or right == "UPDATE":
                    how = f"{SOMEBODY} GRANT {right} ON {sequence} TO {role};"
                    yield CatalogMutant(f"{role} may {right} {sequence}", how, "Grants", fact)


def _on_columns(facts: Facts) -> Iterator[CatalogMutant]:
    for number, fact in enumerate(facts["Columns"]):
        table, column = owning_table(fact), split_name(fact)[-1]
        for role in ROLES:
            held = facts["Grants"].get(f"{table} to {role}", "").split(", ")
            # The site's own role is given each right, the others one of them in turn.
            for right in COLUMN_RIGHTS if role == WEB else (COLUMN_RIGHTS[number % len(COLUMN_RIGHTS)],):
                named = f"{right} ({column})"
                if right not in held and named not in held:
                    how = f"GRANT {named} ON {table} TO {role};"
                    yield CatalogMutant(f"{role} may {named} of {table}", how, "Grants", f"{table} to {role}")


def _on_functions(facts: Facts) -> Iterator[CatalogMutant]:
    for name, value in facts["Functions"].items():
        for role in (*ROLES, "somebody"):
            fact = f"function {name} to {role}"
            if role == "somebody" and "SECURITY DEFINER" not in value:
                continue
            if value.startswith(f"OWNER {role}\n"):
                continue
            verb, to = ("REVOKE", "FROM") if fact in facts["Grants"] else ("GRANT", "TO")
            how = f"{SOMEBODY} {verb} EXECUTE ON FUNCTION {name} {to} {role};"
            yield CatalogMutant(f"{verb} to run {name}: {role}", how, "Grants", fact)
            if role in OURS:
                how = f"GRANT EXECUTE ON FUNCTION {name} TO {role} WITH GRANT OPTION;"
                yield CatalogMutant(f"{role} may let others run {name}", how, "Grants", fact)


def _taken_and_passed_on(facts: Facts) -> Iterator[CatalogMutant]:
    for fact, rights in facts["Grants"].items():
        thing, _to, role = fact.rpartition(" to ")
        if thing.endswith("_seq"):
            how = f"REVOKE ALL ON {thing} FROM {role};"
            yield CatalogMutant(f"{role} may not read {thing}", how, "Grants", fact)
        elif (thing in facts["Tables"] or thing in facts["Views"]) and role in OURS:
            how = f"REVOKE {rights} ON {thing} FROM {role};"
            yield CatalogMutant(f"{role} may no longer {rights} {thing}", how, "Grants", fact)
            how = f"GRANT {rights} ON {thing} TO {role} WITH GRANT OPTION;"
            yield CatalogMutant(f"{role} may pass on {rights} on {thing}", how, "Grants", fact)
            for right in rights.split(", ") if ", " in rights else ():
                how = f"REVOKE {right} ON {thing} FROM {role};"
                yield CatalogMutant(f"{role} may no longer {right} {thing}", how, "Grants", fact)


def _on_the_rest(database: str) -> Iterator[CatalogMutant]:
    for role in ROLES:
        for right, thing, fact in (
            ("CREATE", "SCHEMA public", "schema public"),
            ("TEMPORARY", f"DATABASE {database}", "database"),
            ("CREATE", f"DATABASE {database}", "database"),
            ("EXECUTE", "FUNCTION pg_read_file(text)", "function pg_catalog.pg_read_file(text)"),
            ("EXECUTE", "FUNCTION lo_create(oid)", "function pg_catalog.lo_create(oid)"),
            ("EXECUTE", "FUNCTION lo_from_bytea(oid,bytea)", "function pg_catalog.lo_from_bytea(oid,bytea)"),
            ("SELECT", "pg_authid", "pg_catalog.pg_authid"),
            ("SELECT (rolpassword)", "pg_authid", "pg_catalog.pg_authid"),
            ("SELECT (subconninfo)", "pg_subscription", "pg_catalog.pg_subscription"),
            ("SET", "PARAMETER session_replication_role", "parameter session_replication_role"),
            ("ALTER SYSTEM", "PARAMETER log_statement", "parameter log_statement"),
        ):
            how = f"GRANT {right} ON {thing} TO {role};"
            yield CatalogMutant(f"{role} may {right} {thing}", how, "Grants", f"{fact} to {role}")
        how = f"CREATE FOREIGN DATA WRAPPER far_{role}; GRANT USAGE ON FOREIGN DATA WRAPPER far_{role} TO {role};"
        fact = f"foreign data wrapper far_{role} to {role}"
        yield CatalogMutant(f"{role} may make servers", how, "Grants", fact)
        how = (
            f"CREATE FOREIGN DATA WRAPPER further_{role}; CREATE SERVER other_{role} FOREIGN DATA WRAPPER further_{role};"
            f" GRANT USAGE ON FOREIGN SERVER other_{role} TO {role};"
        )
        yield CatalogMutant(f"{role} reaches a server", how, "Grants", f"foreign server other_{role} to {role}")
    for role in (WEB, GUARD, OPERATIONS):
        # Names without a schema are looked up in the one of the role's own name first.
        how = f"CREATE SCHEMA {role}; CREATE TABLE {role}.messages_v2 (); GRANT USAGE ON SCHEMA {role} TO {role};"
        yield CatalogMutant(f"{role} is shown other tables", how, "Grants", f"schema {role} to {role}")
        how = f"REVOKE USAGE ON SCHEMA public FROM {role};"
        yield CatalogMutant(f"{role} may not enter", how, "Grants", f"schema public to {role}")
        how = f"REVOKE CONNECT ON DATABASE {database} FROM {role};"
        yield CatalogMutant(f"{role} may not connect", how, "Grants", f"database to {role}")
        how = f"ALTER DATABASE {database} OWNER TO {role};"
        yield CatalogMutant(f"the database is {role}'s", how, "Owners", "database", alone=True)
        how = f"ALTER SCHEMA public OWNER TO {role};"
        yield CatalogMutant(f"the schema is {role}'s", how, "Owners", "schema public", alone=True)
    how = f"{SOMEBODY} ALTER DATABASE {database} OWNER TO somebody;"
    yield CatalogMutant("the database is somebody's", how, "Owners", "database", alone=True)
    how = f"{SOMEBODY} ALTER SCHEMA public OWNER TO somebody;"
    yield CatalogMutant("the schema is somebody's", how, "Owners", "schema public", alone=True)


def _by_default(facts: Facts) -> Iterator[CatalogMutant]:
    first = {"FUNCTIONS": "EXECUTE", "SCHEMAS": "CREATE", "SEQUENCES": "UPDATE", "TYPES": "USAGE"}
    for role in (*ROLES, "somebody"):
        for things in ("TABLES", "SEQUENCES", "FUNCTIONS", "SCHEMAS", "TYPES"):
            right = first.get(things, "UPDATE" if role == OPERATIONS else "SELECT")
            for place in ("", " in public"):
                if (place and things == "SCHEMAS") or (things in ("FUNCTIONS", "TYPES") and role == "public"):
                    continue  # So it is from the beginning.
                if (role, things) == (OPERATIONS, "TYPES"):
                    continue  # To name one shows nothing.
                how = f"{SOMEBODY} {OWNERS}{place.upper().replace('IN', 'IN SCHEMA')} GRANT {right} ON {things} TO {role};"
                fact = f"{things.lower()} of the owner{place} to {role}"
                yield CatalogMutant(f"{role} will {right} new {things}{place}", how, "Default privileges", fact)
        if role != "somebody":
            how = f"{SOMEBODY} ALTER DEFAULT PRIVILEGES FOR ROLE somebody GRANT INSERT ON TABLES TO {role};"
            fact = f"tables of somebody to {role}"
            yield CatalogMutant(f"{role} will write in somebody's tables", how, "Default privileges", fact)
    for fact, rights in facts["Default privileges"].items():
        things, _of, rest = fact.partition(" of the owner to ")
        how = f"{OWNERS} REVOKE {rights} ON {things.upper()} FROM {rest};"
        yield CatalogMutant(f"{rest} will not {rights} new {things}", how, "Default privileges", fact)
