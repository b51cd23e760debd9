"""The remedy for each difference: SQL statements, and who has to run them."""

import re

from carecollective.core.catalog.comparison import EVERYBODY, GUARD, WEB, Difference, owning_table, split_name
from carecollective.core.catalog.reader import LiveCatalog
from rollout.alerts.rules import RESTORE_V2

V2_TABLES = ("conversations_v2", "messages_v2")
_COLUMN = re.compile(
    r"(?P<type>.*?)(?P<strict> not null)?(?: (?P<identity>always|by default) identity)?(?: default (?P<default>.*))?",
    re.DOTALL,
)
_IN_EXTENSION = ", in the extension "
_OPTION = " WITH GRANT OPTION"
_ATTRIBUTES = ("login", "superuser", "bypassrls", "createdb", "createrole", "replication")
# Kinds of things that a grant must name. Tables and sequences need no keyword.
_KINDS = ("function", "schema", "type", "language", "foreign data wrapper", "foreign server", "parameter")
# These belong to the server, or need rights that a database's owner does not have.
_FOR_ADMINISTRATORS = frozenset(
    {"Casts", "Event triggers", "Owners", "Publications", "Roles", "Settings", "Subscriptions"}
)


def find_remedy(difference: Difference, live: LiveCatalog) -> str:
    """Return a sentence: who has to do what."""
    if difference.part == "Tables" and difference.found is None:
        if difference.name in V2_TABLES:
            return RESTORE_V2
        return "Run `manage.py migrate`. If the table is still missing, restore the newest backup."
    if difference.part == "Columns":
        if difference.expected is None:
            return "Ask who added it and why. Once nobody needs it, drop it by hand; that deletes what it holds."
        if not (difference.found and write_repair(difference, live)):
            return "Change it back by hand, as the owner. What a lost column held is in the newest backup."
    if difference.name.startswith("the server: "):
        return "Take it out of the server's configuration, and reload the server."
    statements = write_repair(difference, live)
    return f"As {'an administrator' if difference.part in _FOR_ADMINISTRATORS else 'the owner'}: {statements}"


def write_repair(difference: Difference, live: LiveCatalog) -> str:  # noqa: PLR0912 -- one case for each part of the catalogue
    """Return the SQL that restores the snapshot's fact; "" if a column must be changed by hand."""
    name, agreed, found = difference.name, difference.expected, difference.found or ""
    table, own_name = owning_table(name), split_name(name)[-1]
    match difference.part:
        case "Tables":
            return _repair_table(name, agreed, found, live)
        case "Columns":
            return _repair_column(table, own_name, agreed, found)
        case "Views":
            return _repair_view(name, agreed, found, live)
        case "Row-level security":
            on = "ENABLE" if (agreed or "").startswith("on") else "DISABLE"
            forced = "FORCE" if (agreed or "").endswith("and forced") else "NO FORCE"
            return f"ALTER TABLE {name} {on} ROW LEVEL SECURITY, {forced} ROW LEVEL SECURITY;"
        case "Policies":
            return _replace(
                difference, f"DROP POLICY {own_name} ON {table};", f"CREATE POLICY {own_name} ON {table} {agreed};"
            )
        case "Constraints":
            if found == f"{agreed} NOT VALID":
                return f"ALTER TABLE {table} VALIDATE CONSTRAINT {own_name};"
            alter = f"ALTER TABLE {table}"
            return _replace(
                difference, f"{alter} DROP CONSTRAINT {own_name};", f"{alter} ADD CONSTRAINT {own_name} {agreed};"
            )
        case "Indexes":
            schema = "".join(f"{one}." for one in split_name(table)[:-1])
            if found == f"{agreed} (not valid)":
                return f"REINDEX INDEX {schema}{own_name};"
            return _replace(difference, f"DROP INDEX {schema}{own_name};", f"{agreed};")
        case "Triggers":
            return _repair_trigger(difference, table, own_name)
        case "Rules":
            return f"DROP RULE {own_name} ON {table};"
        case "Inheritance":
            child, _of, parent = name.partition(" of ")
            return f"ALTER TABLE {child} NO INHERIT {parent};"
        case "Functions":
            return _repair_function(difference, live)
        case "Grants":
            return _repair_grant(name, agreed, found, live)
        case "Owners":
            return f"ALTER {f'DATABASE {live.database}' if name == 'database' else name} OWNER TO {live.owner};"
        case "Default privileges":
            return _repair_default(name, agreed, found, live)
        case "Roles":
            return _repair_role(name, agreed, found, live)
        case "Settings":
            return _repair_setting(name, agreed, live)
        case "Subscriptions":
            return (
                f"ALTER SUBSCRIPTION {name} DISABLE; ALTER SUBSCRIPTION {name} SET (slot_name = NONE);"
                f" DROP SUBSCRIPTION {name};"
            )
        case "Casts":
            return f"DROP CAST ({name});"
        case _:
            # An event trigger, an operator or a publication.
            return f"DROP {difference.part.removesuffix('s').upper()} {name};"


def _replace(difference: Difference, drop: str, make: str) -> str:
    if difference.expected is None:
        return drop
    return make if difference.found is None else f"{drop} {make}"


def _repair_table(name: str, agreed: str | None, found: str, live: LiveCatalog) -> str:
    if agreed is None:
        return f"DROP FOREIGN TABLE {name};"
    logged = f"ALTER TABLE {name} SET LOGGED; " if found.startswith("unlogged") else ""
    return f"{logged}ALTER TABLE {name} OWNER TO {live.owner};"


def _repair_column(table: str, column: str, agreed: str | None, found: str) -> str:
    """Return the SQL for a column's NOT NULL, default and identity."""
    wanted, had = _COLUMN.fullmatch(agreed or ""), _COLUMN.fullmatch(found)
    if wanted is None or had is None or wanted["type"] != had["type"]:
        return ""
    alter, number = f"ALTER TABLE {table} ALTER {column}", wanted["identity"]
    statements = []
    if wanted["strict"] != had["strict"]:
        statements.append(f"{alter} {'SET' if wanted['strict'] else 'DROP'} NOT NULL;")
    if wanted["default"] != had["default"]:
        statements.append(
            f"{alter} SET DEFAULT {wanted['default']};" if wanted["default"] else f"{alter} DROP DEFAULT;"
        )
    if number and had["identity"] is None:
        next_one = f"(SELECT coalesce(max({column}), 0) + 1 FROM {table})"  # noqa: S608 (names of the catalogue)
        statements.append(
            f"{alter} ADD GENERATED {number.upper()} AS IDENTITY;"
            f" SELECT setval(pg_get_serial_sequence('{table}', '{column}'), {next_one}, false);"
        )
    elif number != had["identity"]:
        statements.append(f"{alter} SET GENERATED {number.upper()};" if number else f"{alter} DROP IDENTITY;")
    return " ".join(statements)


def _repair_view(name: str, agreed: str | None, found: str, live: LiveCatalog) -> str:
    kind = "MATERIALIZED VIEW" if found.startswith("mat") else "VIEW"
    if agreed is None:
        _of, _in, extension = found.partition(" over ")[0].partition(_IN_EXTENSION)
        release = f"ALTER EXTENSION {extension} DROP {kind} {name}; " if extension else ""
        return f"{release}DROP {kind} {name};"
    # A replaced view keeps its rights, and loses options that are not repeated.
    query = agreed.partition(": ")[2]
    return f"CREATE OR REPLACE VIEW {name} AS {query} ALTER VIEW {name} OWNER TO {live.owner};"


def _repair_trigger(difference: Difference, table: str, name: str) -> str:
    found = difference.found or ""
    if found.startswith("the foreign key's own"):
        return f"ALTER TABLE {table} ENABLE TRIGGER ALL;"
    if found.startswith(f"{difference.expected} (") or (difference.expected is None and found.endswith("off)")):
        return f"ALTER TABLE {table} ENABLE TRIGGER {name};"
    return _replace(difference, f"DROP TRIGGER {name} ON {table};", f"{difference.expected};")


def _repair_function(difference: Difference, live: LiveCatalog) -> str:
    name = difference.name
    if difference.expected is None:
        if _IN_EXTENSION in (difference.found or "").partition("\n")[0]:
            return f"REVOKE EXECUTE ON ROUTINE {name} FROM PUBLIC, {WEB}, {GUARD};"
        return f"DROP ROUTINE {name};"
    owner, _newline, definition = difference.expected.partition("\n")
    found_owner, _newline, found_definition = (difference.found or "").partition("\n")
    statements = []
    if found_definition != definition:
        statements.append(f"{definition};")
    if found_owner != owner:
        statements.append(f"ALTER FUNCTION {name} OWNER TO {_quoted(owner.removeprefix('OWNER '), live)};")
    if difference.found is None and f"function {name} to {EVERYBODY}" not in live.expected["Grants"]:
        # By default everybody may run a new function.
        statements.append(f"REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC;")
    return " ".join(statements)


def _repair_grant(name: str, agreed: str | None, found: str, live: LiveCatalog) -> str:
    thing, _to, grantee = name.rpartition(" to ")
    kind = next((kind for kind in _KINDS if thing.startswith(f"{kind} ")), "")
    target = f"{kind.upper()} {thing.removeprefix(kind)}" if kind else thing
    target = f"DATABASE {live.database}" if thing == "database" else target
    return _exchange(agreed, found, f"ON {target}", grantee)


def _repair_default(name: str, agreed: str | None, found: str, live: LiveCatalog) -> str:
    made, _to, grantee = name.rpartition(" to ")
    things, _of, whose = made.partition(" of ")
    role, _in, schema = whose.partition(" in ")
    head = f"ALTER DEFAULT PRIVILEGES FOR ROLE {_quoted(role, live)}{f' IN SCHEMA {schema}' if schema else ''} "
    return _exchange(agreed, found, f"ON {things.upper()}", grantee, head)


def _exchange(agreed: str | None, found: str, on: str, grantee: str, head: str = "") -> str:
    """Write what takes the rights away that are too many, and gives those that are missing."""
    wanted, had = _rights(agreed or ""), _rights(found)
    taken = had - wanted
    # A right on a table that is taken away goes for its columns as well.
    given = {right for right in wanted if right not in had or right.partition(" (")[0] in taken}
    statements = []
    if taken:
        statements.append(f"{head}REVOKE {_list(taken)} {on} FROM {grantee};")
    if given:
        statements.append(f"{head}GRANT {_list(given)} {on} TO {grantee};")
    return " ".join(statements)


def _rights(text: str) -> set[str]:
    return set(text.split(", ")) - {""}


def _list(rights: set[str]) -> str:
    return ", ".join(sorted(right.removesuffix(_OPTION) for right in rights))


def _repair_role(name: str, agreed: str | None, found: str, live: LiveCatalog) -> str:
    if name.endswith(" belongs to"):
        member = name.removesuffix(" belongs to")
        return " ".join(f"REVOKE {_quoted(role, live)} FROM {member};" for role in found.split(", "))
    if name.endswith(" is open to"):
        role = _quoted(name.removesuffix(" is open to"), live)
        return " ".join(f"REVOKE {role} FROM {_quoted(member, live)};" for member in found.split(", "))
    wanted = (agreed or "").split(", ")
    words = " ".join(word.upper() if word in wanted else f"NO{word.upper()}" for word in _ATTRIBUTES)
    words += (" VALID UNTIL 'infinity'" if "until " in found else "") + (
        " CONNECTION LIMIT -1" if "no session" in found else ""
    )
    return f"{'ALTER' if found else 'CREATE'} ROLE {name} {words};"


def _repair_setting(name: str, agreed: str | None, live: LiveCatalog) -> str:
    whose, _colon, setting = name.partition(": ")
    role = whose.removesuffix(" in this database")
    verb = f"RESET {setting}" if agreed is None else f"SET {setting} = '{agreed}'"
    if role == "every role":
        return f"ALTER {f'DATABASE {live.database}' if role != whose else 'ROLE ALL'} {verb};"
    return f"ALTER ROLE {_quoted(role, live)} {f'IN DATABASE {live.database} ' if role != whose else ''}{verb};"


def _quoted(role: str, live: LiveCatalog) -> str:
    return live.owner if role == "the owner" else role
