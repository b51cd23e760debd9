"""Breaks, one at a time, each fact of the catalogue that decides who may read or write. Made by walking the snapshot."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from carecollective.core.catalog.comparison import OURS, owning_table, split_name
from carecollective.core.catalog.snapshot import DatabaseSnapshot, Facts

WEB, OPERATIONS, GUARD = "carecollective_web", "carecollective_ops", "carecollective_guard"
TABLE_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
ATTRIBUTES = ("superuser", "bypassrls", "createdb", "createrole", "replication")
SERVER_ROLES = (
    "pg_read_all_data",
    "pg_write_all_data",
    "pg_read_server_files",
    "pg_execute_server_program",
    "pg_monitor",
)
# What no role and no database may be told.
TELLING = {
    "app.user_id": "'00000000-0000-0000-0000-000000000001'",
    "request.jwt.claims": "'{}'",
    "search_path": "elsewhere",
    "row_security": "off",
    "session_replication_role": "replica",
    "default_transaction_read_only": "on",
}
SOMEBODY = "DO $$ BEGIN CREATE ROLE somebody; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"


@dataclass(frozen=True, slots=True)
class CatalogMutant:
    """What it breaks in words, how, and which fact of which part must differ. `alone` keeps it out of company."""

    breaks: str
    statements: str
    part: str
    fact: str
    alone: bool = False


def walk(snapshot: DatabaseSnapshot, database: str) -> Iterator[CatalogMutant]:
    """Yield everything to break in a database that was born empty."""
    facts = snapshot.expected(made_here=True)
    yield from _policies(facts)
    yield from _row_level_security(facts)
    yield from _rights_on_tables(facts, snapshot)
    yield from _functions(facts)
    yield from _triggers(facts)
    yield from _constraints(facts)
    yield from _indexes(facts, snapshot)
    yield from _columns(facts, snapshot)
    yield from _tables(facts)
    yield from _new_things(snapshot)
    yield from _roles()
    yield from _settings(facts, database)
    yield from _rights_elsewhere(database)


def _policies(facts: Facts) -> Iterator[CatalogMutant]:
    for fact, definition in facts["Policies"].items():
        table, policy = owning_table(fact), split_name(fact)[-1]
        otherwise = "false" if definition.endswith("(true)") else "true"
        clause = f"{'USING' if ' USING (' in definition else 'WITH CHECK'} ({otherwise})"
        alter = f"ALTER POLICY {policy} ON {table}"
        yield CatalogMutant(f"the policy {fact} is gone", f"DROP POLICY {policy} ON {table};", "Policies", fact)
        yield CatalogMutant(f"the policy {fact} says {otherwise}", f"{alter} {clause};", "Policies", fact)
        yield CatalogMutant(f"the policy {fact} is for everybody", f"{alter} TO public;", "Policies", fact)
        if " WITH CHECK (" in definition and clause.startswith("USING"):
            check = f"{alter} WITH CHECK ({otherwise});"
            yield CatalogMutant(f"the policy {fact} checks {otherwise}", check, "Policies", fact)
    for table in sorted({owning_table(fact) for fact in facts["Policies"]}):
        # Where we ask for no row-level security, a policy for everybody is the legacy system's own.
        held = facts["Row-level security"][table].startswith("on")
        for role in (WEB, "public") if held else (WEB,):
            for command, clause in (("SELECT", "USING"), ("INSERT", "WITH CHECK"), ("UPDATE", "USING")):
                name = f"anybody_{command.lower()}_{role}"
                yield CatalogMutant(
                    f"a new policy lets {role} {command} {table}",
                    f"CREATE POLICY {name} ON {table} FOR {command} TO {role} {clause} (true);",
                    "Policies",
                    f"{table}.{name}",
                )


def _row_level_security(facts: Facts) -> Iterator[CatalogMutant]:
    for table, state in facts["Row-level security"].items():
        if state.startswith("on"):
            how = f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;"
            yield CatalogMutant(f"row-level security is off on {table}", how, "Row-level security", table)
        if state.endswith("and forced"):
            how = f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;"
            yield CatalogMutant(f"it is not forced on {table}", how, "Row-level security", table)


def _rights_on_tables(facts: Facts, snapshot: DatabaseSnapshot) -> Iterator[CatalogMutant]:
    for table in facts["Tables"]:
        for role in (WEB, GUARD, "public"):
            fact = f"{table} to {role}"
            held = facts["Grants"].get(fact, "").split(", ")
            for right in TABLE_RIGHTS:
                if right not in held:
                    how = f"GRANT {right} ON {table} TO {role};"
                    yield CatalogMutant(f"{role} may {right} {table}", how, "Grants", fact)
        yield CatalogMutant(
            f"operations may change {table}",
            f"GRANT UPDATE ON {table} TO {OPERATIONS};",
            "Grants",
            f"{table} to {OPERATIONS}",
        )
        if table in snapshot.own_tables:
            how = f"{SOMEBODY} GRANT SELECT ON {table} TO somebody;"
            yield CatalogMutant(f"a stranger may read {table}", how, "Grants", f"{table} to somebody")
    for fact, rights in facts["Grants"].items():
        thing, _to, role = fact.rpartition(" to ")
        if thing in facts["Tables"] and role in OURS:
            how = f"REVOKE {rights} ON {thing} FROM {role};"
            yield CatalogMutant(f"{role} may no longer {rights} {thing}", how, "Grants", fact)
            how = f"GRANT {rights} ON {thing} TO {role} WITH GRANT OPTION;"
            yield CatalogMutant(f"{role} may pass on {rights} on {thing}", how, "Grants", fact)
        elif thing.endswith("_seq"):
            how = f"GRANT UPDATE ON {thing} TO {WEB};"
            yield CatalogMutant(f"the web may set {thing}", how, "Grants", f"{thing} to {WEB}")
    for fact in facts["Columns"]:
        table, column = owning_table(fact), split_name(fact)[-1]
        if "UPDATE" not in facts["Grants"].get(f"{table} to {WEB}", "").split(", "):
            right = f"UPDATE ({column})"
            if right not in facts["Grants"].get(f"{table} to {WEB}", "").split(", "):
                how = f"GRANT {right} ON {table} TO {WEB};"
                yield CatalogMutant(f"the web may change {fact}", how, "Grants", f"{table} to {WEB}")


def _functions(facts: Facts) -> Iterator[CatalogMutant]:
    for name, value in facts["Functions"].items():
        definition = value.partition("\n")[2]
        alter = f"ALTER FUNCTION {name}"
        invoker = "SECURITY INVOKER" if "SECURITY DEFINER" in definition else "SECURITY DEFINER"
        volatility = "STABLE" if not re.search(r"^ (STABLE|IMMUTABLE)", definition, re.MULTILINE) else "VOLATILE"
        changed = definition.replace("$function$", "$function$/* changed */ ", 1)
        for breaks, how in {
            "has another body": f"{changed};",
            "belongs to the web": f"{alter} OWNER TO {WEB};",
            f"runs with {invoker}": f"{alter} {invoker};",
            f"is {volatility}": f"{alter} {volatility};",
            "looks things up elsewhere": f"{alter} SET search_path = elsewhere;",
            "is said to leak nothing": f"{alter} LEAKPROOF;",
        }.items():
            yield CatalogMutant(f"{name} {breaks}", how, "Functions", name)
        for role in (WEB, GUARD, "public"):
            fact = f"function {name} to {role}"
            verb, to = ("REVOKE", "FROM") if fact in facts["Grants"] else ("GRANT", "TO")
            how = f"{verb} EXECUTE ON FUNCTION {name} {to} {role};"
            yield CatalogMutant(f"{verb} to run {name}: {role}", how, "Grants", fact)


def _triggers(facts: Facts) -> Iterator[CatalogMutant]:
    for fact in facts["Triggers"]:
        table, name = owning_table(fact), split_name(fact)[-1]
        for breaks, how in {
            "is gone": f"DROP TRIGGER {name} ON {table};",
            "is switched off": f"ALTER TABLE {table} DISABLE TRIGGER {name};",
            "runs on replicas only": f"ALTER TABLE {table} ENABLE REPLICA TRIGGER {name};",
        }.items():
            yield CatalogMutant(f"the trigger {fact} {breaks}", how, "Triggers", fact)


def _constraints(facts: Facts) -> Iterator[CatalogMutant]:
    for fact, definition in facts["Constraints"].items():
        table, name = owning_table(fact), split_name(fact)[-1]
        if definition.startswith(("PRIMARY KEY", "UNIQUE")):
            # Others refer to keys: what goes with one comes back with its own remedy.
            continue
        drop = f"ALTER TABLE {table} DROP CONSTRAINT {name};"
        yield CatalogMutant(f"the constraint {fact} is gone", drop, "Constraints", fact)
        again = f"{drop} ALTER TABLE {table} ADD CONSTRAINT {name} {definition} NOT VALID;"
        yield CatalogMutant(f"the constraint {fact} was not checked", again, "Constraints", fact)
        if definition.startswith("CHECK"):
            how = f"{drop} ALTER TABLE {table} ADD CONSTRAINT {name} CHECK (true);"
            yield CatalogMutant(f"the constraint {fact} says true", how, "Constraints", fact)
        if definition.startswith("FOREIGN KEY"):
            internal = f"{owning_table(fact)}.{name}"
            how = (
                f"UPDATE pg_trigger SET tgenabled = 'D' WHERE tgconstraint = (SELECT oid FROM pg_constraint"
                f" WHERE conname = '{name}' AND conrelid = '{table}'::regclass) AND tgrelid = '{table}'::regclass;"
            )
            yield CatalogMutant(f"nothing holds the foreign key {fact}", how, "Triggers", internal)


def _indexes(facts: Facts, snapshot: DatabaseSnapshot) -> Iterator[CatalogMutant]:
    constraints = facts["Constraints"]
    for fact in facts["Indexes"]:
        if fact in constraints:
            continue
        name = split_name(fact)[-1]
        yield CatalogMutant(f"the index {fact} is gone", f"DROP INDEX {name};", "Indexes", fact)
        how = f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass;"
        yield CatalogMutant(f"the index {fact} is not valid", how, "Indexes", fact)


def _columns(facts: Facts, snapshot: DatabaseSnapshot) -> Iterator[CatalogMutant]:
    keys = {
        f"{owning_table(fact)}.{column}"
        for fact, definition in facts["Constraints"].items() if definition.startswith("PRIMARY KEY")
        for column in definition.partition("(")[2].rstrip(")").split(", ")
    }  # fmt: skip
    for fact, kind in facts["Columns"].items():
        table, column = owning_table(fact), split_name(fact)[-1]
        if " not null" in kind and fact not in keys and "identity" not in kind:
            how = f"ALTER TABLE {table} ALTER {column} DROP NOT NULL;"
            yield CatalogMutant(f"{fact} may be empty", how, "Columns", fact)
    for table in sorted(snapshot.own_tables):
        how = f"ALTER TABLE {table} ADD one_more text;"
        yield CatalogMutant(f"{table} has one column more", how, "Columns", f"{table}.one_more")


def _tables(facts: Facts) -> Iterator[CatalogMutant]:
    for table in facts["Tables"]:
        yield CatalogMutant(
            f"{table} belongs to the web", f"ALTER TABLE {table} OWNER TO {WEB};", "Tables", table, alone=True
        )


def _new_things(snapshot: DatabaseSnapshot) -> Iterator[CatalogMutant]:
    known = sorted(snapshot.own_tables | snapshot.legacy_tables)
    for table in known:
        new = f"new_{table}"
        yield CatalogMutant(f"a view over {table}", f"CREATE VIEW {new}_v AS TABLE {table};", "Views", f"{new}_v")
        how = f"CREATE MATERIALIZED VIEW {new}_m AS TABLE {table};"
        yield CatalogMutant(f"a materialized view over {table}", how, "Views", f"{new}_m")
        how = f"CREATE RULE nothing AS ON DELETE TO {table} DO INSTEAD NOTHING;"
        yield CatalogMutant(f"a rule on {table}", how, "Rules", f"{table}.nothing")
        how = f"CREATE PUBLICATION {new} FOR TABLE {table};"
        yield CatalogMutant(f"a publication of {table}", how, "Publications", new)
        how = (
            f"CREATE FUNCTION {new}_f() RETURNS SETOF {table} LANGUAGE sql SECURITY DEFINER AS 'TABLE {table}';"
            f" REVOKE EXECUTE ON FUNCTION {new}_f() FROM PUBLIC; GRANT EXECUTE ON FUNCTION {new}_f() TO {WEB};"
        )
        yield CatalogMutant(f"a function that shows {table}", how, "Functions", f"{new}_f()")
    for table in sorted({owning_table(fact) for fact in snapshot.ours["Policies"]}):
        how = f"CREATE TABLE new_{table}_p (LIKE {table}); ALTER TABLE {table} INHERIT new_{table}_p;"
        fact = f"{table} of new_{table}_p"
        yield CatalogMutant(f"a table that shows the rows of {table}", how, "Inheritance", fact, alone=True)
    for table in sorted(snapshot.own_tables):
        how = (
            "CREATE OR REPLACE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            f" CREATE TRIGGER spy BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION spy();"
        )
        yield CatalogMutant(f"a trigger on {table}", how, "Triggers", f"{table}.spy")
    yield CatalogMutant(
        "a publication of every table", "CREATE PUBLICATION every FOR ALL TABLES;", "Publications", "every"
    )
    yield CatalogMutant(
        "a function on its owner's rights that everybody may run",
        "CREATE FUNCTION leak() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT content FROM messages';",
        "Functions",
        "leak()",
    )
    yield CatalogMutant(
        "a function of a name of ours",
        "CREATE FUNCTION current_member(text) RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid';",
        "Functions",
        "current_member(text)",
    )
    yield CatalogMutant(
        "an event trigger",
        "CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        " CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION watch();",
        "Event triggers",
        "watch",
        alone=True,
    )


def _roles() -> Iterator[CatalogMutant]:
    for role in (WEB, OPERATIONS, GUARD):
        for attribute in ATTRIBUTES:
            if (role, attribute) != (OPERATIONS, "bypassrls"):
                how = f"ALTER ROLE {role} {attribute.upper()};"
                yield CatalogMutant(f"{role} has {attribute}", how, "Roles", role, alone=True)
        yield CatalogMutant(f"{role} cannot sign in", f"ALTER ROLE {role} NOLOGIN;", "Roles", role, alone=True)
        how = f"ALTER ROLE {role} VALID UNTIL '2020-01-01';"
        yield CatalogMutant(f"{role} has run out", how, "Roles", role, alone=True)
        others = {WEB, OPERATIONS, GUARD, "carecollective_owner", *SERVER_ROLES} - {role}
        for other in sorted(others - {"carecollective_owner"} if role == OPERATIONS else others):
            how = f"GRANT {other} TO {role};"
            yield CatalogMutant(f"{role} belongs to {other}", how, "Roles", f"{role} belongs to", alone=True)
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


def _rights_elsewhere(database: str) -> Iterator[CatalogMutant]:
    for role in (WEB, GUARD, "public"):
        for right, thing, fact in (
            ("CREATE", "SCHEMA public", "schema public"),
            ("TEMPORARY", f"DATABASE {database}", "database"),
            ("CREATE", f"DATABASE {database}", "database"),
            ("EXECUTE", "FUNCTION pg_read_file(text)", "function pg_catalog.pg_read_file(text)"),
            ("SELECT", "pg_authid", "pg_catalog.pg_authid"),
            ("SET", "PARAMETER session_replication_role", "parameter session_replication_role"),
        ):
            how = f"GRANT {right} ON {thing} TO {role};"
            yield CatalogMutant(f"{role} may {right} {thing}", how, "Grants", f"{fact} to {role}")
        for things in ("TABLES", "SEQUENCES", "FUNCTIONS", "SCHEMAS"):
            fact = f"{things.lower()} of the owner to {role}"
            right = {"FUNCTIONS": "EXECUTE", "SCHEMAS": "CREATE", "SEQUENCES": "UPDATE"}.get(things, "SELECT")
            if (things, role) == ("FUNCTIONS", "public"):
                continue  # So it is from the beginning.
            how = f"ALTER DEFAULT PRIVILEGES FOR ROLE carecollective_owner GRANT {right} ON {things} TO {role};"
            yield CatalogMutant(f"{role} will {right} new {things}", how, "Default privileges", fact)
    how = "ALTER DEFAULT PRIVILEGES FOR ROLE carecollective_owner REVOKE SELECT ON TABLES FROM carecollective_ops;"
    yield CatalogMutant(
        "operations will not read new tables", how, "Default privileges", f"tables of the owner to {OPERATIONS}"
    )
    how = f"REVOKE USAGE ON SCHEMA public FROM {WEB};"
    yield CatalogMutant("the web may not enter", how, "Grants", f"schema public to {WEB}")
    how = f"REVOKE CONNECT ON DATABASE {database} FROM {GUARD};"
    yield CatalogMutant("the guard may not connect", how, "Grants", f"database to {GUARD}")
    how = f"ALTER DATABASE {database} OWNER TO {WEB};"
    yield CatalogMutant("the database is the web's", how, "Owners", "database", alone=True)
    how = f"ALTER SCHEMA public OWNER TO {WEB};"
    yield CatalogMutant("the schema is the web's", how, "Owners", "schema public", alone=True)
