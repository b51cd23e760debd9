"""Adds what is not in the snapshot: views, rules, triggers, functions, operators, publications, foreign tables."""

from collections.abc import Iterator

from carecollective.core.catalog.comparison import owning_table
from carecollective.core.catalog.snapshot import DatabaseSnapshot
from tests.operations.mutant import SPY, WEB, CatalogMutant


def walk(snapshot: DatabaseSnapshot) -> Iterator[CatalogMutant]:
    tables = sorted(snapshot.own_tables & snapshot.ours["Tables"].keys())
    known = sorted({*tables, *snapshot.legacy_tables})
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
        how = f"CREATE VIEW {new}_e AS TABLE {table}; ALTER EXTENSION plpgsql ADD VIEW {new}_e;"
        yield CatalogMutant(f"a view of an extension's over {table}", how, "Views", f"{new}_e")
    for table in sorted({owning_table(fact) for fact in snapshot.ours["Policies"]}):
        how = f"CREATE TABLE new_{table}_p (LIKE {table}); ALTER TABLE {table} INHERIT new_{table}_p;"
        fact = f"{table} of new_{table}_p"
        yield CatalogMutant(f"a table that shows the rows of {table}", how, "Inheritance", fact, alone=True)
    for table in tables:
        how = f"{SPY} CREATE TRIGGER spy BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION spy();"
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
        "a publication of a schema", "CREATE PUBLICATION here FOR TABLES IN SCHEMA public;", "Publications", "here"
    )
    yield CatalogMutant(
        "a subscription, which writes into our tables",
        "CREATE SUBSCRIPTION theirs CONNECTION 'dbname=elsewhere' PUBLICATION p"
        " WITH (connect = false, slot_name = NONE, enabled = false);",
        "Subscriptions",
        "theirs",
    )
    yield CatalogMutant(
        "a function on its owner's rights that an extension has",
        "CREATE FUNCTION leak_of_extension() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT content FROM messages';"
        " ALTER EXTENSION plpgsql ADD FUNCTION leak_of_extension();",
        "Functions",
        "leak_of_extension()",
    )
    yield CatalogMutant(
        "a procedure on its owner's rights",
        "CREATE PROCEDURE leak_by_call() LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM messages';",
        "Functions",
        "leak_by_call()",
    )
    yield CatalogMutant(
        "a function that is found in place of the server's",
        "CREATE FUNCTION lower(character varying) RETURNS text LANGUAGE sql AS 'SELECT NULL';",
        "Functions",
        "lower(character varying)",
    )
    yield CatalogMutant(
        "an operator that is found in place of the server's",
        "CREATE FUNCTION always(uuid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';"
        " CREATE OPERATOR = (LEFTARG = uuid, RIGHTARG = text, FUNCTION = always);",
        "Operators",
        "=(uuid,text)",
    )
    yield CatalogMutant(
        "a cast that makes anybody of a word",
        "CREATE FUNCTION anybody(boolean) RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()';"
        " CREATE CAST (boolean AS uuid) WITH FUNCTION anybody(boolean) AS IMPLICIT;",
        "Casts",
        "boolean AS uuid",
    )
    yield CatalogMutant(
        "a foreign table",
        "CREATE FOREIGN DATA WRAPPER far; CREATE SERVER other FOREIGN DATA WRAPPER far;"
        " CREATE FOREIGN TABLE far_messages (content text) SERVER other;",
        "Tables",
        "far_messages",
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
