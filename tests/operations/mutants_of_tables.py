"""Breaks what the tables, their policies, triggers, constraints and columns, the views and the functions say."""

import re
from collections.abc import Iterator

from carecollective.core.catalog.comparison import owning_table, split_name
from carecollective.core.catalog.snapshot import DatabaseSnapshot, Facts
from tests.operations.mutant import GUARD, OPERATIONS, SOMEBODY, SPY, WEB, CatalogMutant


def walk(facts: Facts, snapshot: DatabaseSnapshot) -> Iterator[CatalogMutant]:
    yield from _policies(facts)
    yield from _row_level_security(facts, snapshot)
    yield from _functions(facts)
    yield from _triggers(facts)
    yield from _constraints(facts)
    yield from _keys(facts)
    yield from _indexes(facts)
    yield from _columns(facts, snapshot)
    yield from _tables(facts)
    yield from _views(facts)


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
        other = (
            definition.removeprefix("AS RESTRICTIVE ")
            if definition.startswith("AS ")
            else f"AS RESTRICTIVE {definition}"
        )
        how = f"DROP POLICY {policy} ON {table}; CREATE POLICY {policy} ON {table} {other};"
        yield CatalogMutant(f"the policy {fact} permits where it restricted, or the other way", how, "Policies", fact)
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


def _row_level_security(facts: Facts, snapshot: DatabaseSnapshot) -> Iterator[CatalogMutant]:
    for table, state in facts["Row-level security"].items():
        alter = f"ALTER TABLE {table}"
        if state.startswith("on"):
            how = f"{alter} DISABLE ROW LEVEL SECURITY;"
            yield CatalogMutant(f"row-level security is off on {table}", how, "Row-level security", table)
        elif table in snapshot.own_tables:
            how = f"{alter} ENABLE ROW LEVEL SECURITY;"
            yield CatalogMutant(f"row-level security hides {table}", how, "Row-level security", table)
        forced = "NO FORCE" if state.endswith("and forced") else "FORCE"
        how = f"{alter} {forced} ROW LEVEL SECURITY;"
        yield CatalogMutant(f"{table} says {forced}", how, "Row-level security", table)


def _functions(facts: Facts) -> Iterator[CatalogMutant]:
    for name, value in facts["Functions"].items():
        definition = value.partition("\n")[2]
        alter = f"ALTER FUNCTION {name}"
        invoker = "SECURITY INVOKER" if "SECURITY DEFINER" in definition else "SECURITY DEFINER"
        volatility = "STABLE" if not re.search(r"^ (STABLE|IMMUTABLE)", definition, re.MULTILINE) else "VOLATILE"
        changed = definition.replace("$function$", "$function$/* changed */ ", 1)
        for breaks, how in {
            "has another body": f"{changed};",
            f"runs with {invoker}": f"{alter} {invoker};",
            f"is {volatility}": f"{alter} {volatility};",
            "looks things up elsewhere": f"{alter} SET search_path = elsewhere;",
            "is said to leak nothing": f"{alter} LEAKPROOF;",
            "answers NULL otherwise": f"{alter} {'CALLED ON NULL INPUT' if ' STRICT' in definition else 'STRICT'};",
        }.items():
            yield CatalogMutant(f"{name} {breaks}", how, "Functions", name)
        # An owner needs no right: the rights that are looked for meanwhile would not be seen.
        how = f"{alter} OWNER TO {WEB};"
        yield CatalogMutant(f"{name} belongs to the web", how, "Functions", name, company="owners")
        how = f"{SOMEBODY} {alter} OWNER TO somebody;"
        yield CatalogMutant(f"{name} belongs to somebody", how, "Functions", name, company="owners")
        how = f"DROP FUNCTION {name} CASCADE;"
        yield CatalogMutant(f"{name} is gone", how, "Functions", name, alone=True)


def _triggers(facts: Facts) -> Iterator[CatalogMutant]:
    for fact, definition in facts["Triggers"].items():
        table, name = owning_table(fact), split_name(fact)[-1]
        for breaks, how in {
            "is gone": f"DROP TRIGGER {name} ON {table};",
            "is switched off": f"ALTER TABLE {table} DISABLE TRIGGER {name};",
            "runs on replicas only": f"ALTER TABLE {table} ENABLE REPLICA TRIGGER {name};",
            "runs on replicas too": f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name};",
            "runs another function": (
                f"{SPY} DROP TRIGGER {name} ON {table};"
                f" {definition.partition(' EXECUTE FUNCTION ')[0]} EXECUTE FUNCTION spy();"
            ),
        }.items():
            yield CatalogMutant(f"the trigger {fact} {breaks}", how, "Triggers", fact)


def _constraints(facts: Facts) -> Iterator[CatalogMutant]:
    for fact, definition in facts["Constraints"].items():
        table, name = owning_table(fact), split_name(fact)[-1]
        if definition.startswith(("PRIMARY KEY", "UNIQUE")):
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


def _keys(facts: Facts) -> Iterator[CatalogMutant]:
    """Primary and unique keys: what refers to one goes with it, and comes back by a remedy of its own."""
    for fact, definition in facts["Constraints"].items():
        if not definition.startswith(("PRIMARY KEY", "UNIQUE")):
            continue
        table, name = owning_table(fact), split_name(fact)[-1]
        drop = f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE;"
        yield CatalogMutant(f"the key {fact} is gone", drop, "Constraints", fact, company="keys")
        again = f"{drop} ALTER TABLE {table} ADD CONSTRAINT {name} {definition} DEFERRABLE INITIALLY DEFERRED;"
        yield CatalogMutant(f"the key {fact} is looked at late", again, "Constraints", fact, company="late keys")


def _indexes(facts: Facts) -> Iterator[CatalogMutant]:
    for fact, definition in facts["Indexes"].items():
        name = split_name(fact)[-1]
        how = f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass;"
        # What refers to a key cannot come back while that is not valid.
        company = "keys that are not valid" if fact in facts["Constraints"] else ""
        yield CatalogMutant(f"the index {fact} is not valid", how, "Indexes", fact, company=company)
        if fact in facts["Constraints"]:
            continue
        drop = f"DROP INDEX {name};"
        yield CatalogMutant(f"the index {fact} is gone", drop, "Indexes", fact)
        if " UNIQUE " in definition:
            again = definition.replace(" UNIQUE ", " ", 1)
            yield CatalogMutant(f"the index {fact} lets doubles in", f"{drop} {again};", "Indexes", fact)
            again = definition.partition(" WHERE ")[0] + " WHERE (false)"
            yield CatalogMutant(f"the index {fact} holds nothing", f"{drop} {again};", "Indexes", fact)


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
        alter = f"ALTER TABLE {table} ALTER {column}"
        if " default " in kind and "identity" not in kind:
            yield CatalogMutant(f"{fact} has no default", f"{alter} DROP DEFAULT;", "Columns", fact)
        if "identity" in kind:
            always = "BY DEFAULT" if "always" in kind else "ALWAYS"
            yield CatalogMutant(f"{fact} is given {always}", f"{alter} SET GENERATED {always};", "Columns", fact)
            how = f"{alter} DROP IDENTITY;"
            yield CatalogMutant(f"{fact} is given by nobody", how, "Columns", fact, company="identities")
        elif kind.startswith("boolean"):
            other = "false" if kind.endswith("true") else "true"
            yield CatalogMutant(f"{fact} is {other} of itself", f"{alter} SET DEFAULT {other};", "Columns", fact)
        elif kind.startswith(("text", "character varying")):
            yield CatalogMutant(f"{fact} has another default", f"{alter} SET DEFAULT 'x';", "Columns", fact)
        elif kind.startswith("uuid") and " default " not in kind:
            yield CatalogMutant(f"{fact} is made up", f"{alter} SET DEFAULT gen_random_uuid();", "Columns", fact)
    for table in sorted(snapshot.own_tables & facts["Tables"].keys()):
        how = f"ALTER TABLE {table} ADD one_more text;"
        yield CatalogMutant(f"{table} has one column more", how, "Columns", f"{table}.one_more")


def _tables(facts: Facts) -> Iterator[CatalogMutant]:
    for table in facts["Tables"]:
        alter = f"ALTER TABLE {table}"
        for owner in (WEB, GUARD, OPERATIONS):
            how = f"{alter} OWNER TO {owner};"
            yield CatalogMutant(f"{table} belongs to {owner}", how, "Tables", table, alone=True)
        how = f"{SOMEBODY} {alter} OWNER TO somebody;"
        yield CatalogMutant(f"{table} belongs to somebody", how, "Tables", table, alone=True)
    refers = {owning_table(fact) for fact, what in facts["Constraints"].items() if what.startswith("FOREIGN KEY")}
    referred = {
        found[1] for what in facts["Constraints"].values()
        if (found := re.search(r"REFERENCES (?:public\.)?(\w+)", what))
    }  # fmt: skip
    for table in sorted(facts["Tables"].keys() - refers - referred):
        how = f"ALTER TABLE {table} SET UNLOGGED;"
        yield CatalogMutant(f"a crash empties {table}", how, "Tables", table)


def _views(facts: Facts) -> Iterator[CatalogMutant]:
    for view, value in facts["Views"].items():
        query = value.partition(": ")[2].rstrip(";")
        for breaks, how in {
            "is gone": f"DROP VIEW {view};",
            "shows nothing": f"CREATE OR REPLACE VIEW {view} AS SELECT * FROM ({query}) AS it WHERE false;",
            "belongs to the web": f"ALTER VIEW {view} OWNER TO {WEB};",
            "belongs to somebody": f"{SOMEBODY} ALTER VIEW {view} OWNER TO somebody;",
            "asks with the caller's rights": f"ALTER VIEW {view} SET (security_invoker = true);",
        }.items():
            yield CatalogMutant(f"the view {view} {breaks}", how, "Views", view, alone=True)
        how = f"CREATE RULE nothing AS ON UPDATE TO {view} DO INSTEAD NOTHING;"
        yield CatalogMutant(f"a rule on the view {view}", how, "Rules", f"{view}.nothing")
        how = f"{SPY} CREATE TRIGGER spy INSTEAD OF UPDATE ON {view} FOR EACH ROW EXECUTE FUNCTION spy();"
        yield CatalogMutant(f"a trigger on the view {view}", how, "Triggers", f"{view}.spy")
