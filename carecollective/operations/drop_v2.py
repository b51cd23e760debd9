"""Rollback option B, the last step before a restore: drops V2's tables, which `migrate` makes again."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.db import connection, connections, transaction
from django.db.migrations.executor import MigrationExecutor

from carecollective.core.catalog.comparison import find_catalog_differences, owning_table
from carecollective.core.catalog.reader import read_live_catalog
from carecollective.core.database import fetch_all
from carecollective.operations.contents import TableContents, read_table
from carecollective.operations.errors import OperationError
from carecollective.operations.verification.remedies import V2_TABLES, write_repair
from carecollective.postgres.dsn import ROLE_NAMES
from rollout.stages import DISABLED
from rollout.targeting.propagation import SILENT_SECONDS
from rollout.targeting.state import FLAG_NAME

APP = "messaging_v2"
RECREATED = "V2's tables were missing, and are made again, empty. The newest backup has what they held."
LOCK_TIMEOUT = "5s"
# Sessions count, not processes: every session of the site's roles fails without these tables, also a pooler's.
_SERVING = """
SELECT (SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND usename = ANY (%(roles)s) AND pid <> pg_backend_pid()),
       (SELECT string_agg(DISTINCT split_part(key, ':', 1) || ':' || split_part(key, ':', 2), ', ')
        FROM public.rollout_process WHERE seen_at > clock_timestamp() - make_interval(secs => %(seconds)s))
"""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What the tables held, and where it was written."""

    database: str
    tables: Mapping[str, TableContents]
    exported_to: Path | None


def drop_v2(*, export: Path | None, confirm: str) -> Dropped:
    """Drop the two tables in one transaction, after writing their rows to `export`.

    Raises OperationError while the site serves or V2 is on, if other tables refer to these, and if they hold conversations,
    unless these are exported and `confirm` is the database's name.
    """
    database = str(connection.settings_dict["NAME"])
    with transaction.atomic(), connection.cursor() as cursor:
        _require_nobody_serves()
        # Nobody writes from here on, so exactly what was exported is dropped.
        _lock(cursor)
        _require_disabled()
        _require_unreferenced()
        with _seeing_everything(cursor):
            found = {table: read_table(connection.connection, "public", table) for table in V2_TABLES}
            rows = sum(table.rows for table in found.values())
            if rows and export is None:
                raise OperationError(
                    f"{_count(found)} would be lost: write them to a folder first with --export DIR, "
                    f"and confirm with --confirm {database}."
                )
            if confirm != database and (rows or confirm):
                raise OperationError(
                    f"{_count(found)} are about to go: type the database's name, --confirm {database}."
                )
            if export is not None:
                _export(cursor, export, database, found)
        cursor.execute("DROP TABLE public.messages_v2, public.conversations_v2")
        # A site that started meanwhile saw the tables.
        _require_nobody_serves()
    return Dropped(database, found, export)


def _require_nobody_serves() -> None:
    """Raise OperationError, with the processes, while the site serves: without these tables V1 fails, too."""
    # Otherwise the server shows the sessions as of the transaction's first query.
    fetch_all("SELECT pg_stat_clear_snapshot()")
    parameters = {"roles": [ROLE_NAMES["web"], ROLE_NAMES["guard"]], "seconds": SILENT_SECONDS}
    ((sessions, processes),) = fetch_all(_SERVING, parameters)
    if not sessions:
        return
    known = f" Processes (host:number): {processes}." if processes else ""
    raise OperationError(
        f"The site is running: {sessions} of its database sessions are open, and all messaging would fail with these tables"
        f" gone, V1's too. Nothing was dropped. Stop the site first: --stop-serving stops the one of this DATA_DIR; where a"
        f" service or another machine runs it, stop it there. `manage.py serve` makes the tables again.{known}"
    )


def _lock(cursor: Any) -> None:
    cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    missing = [table for table in V2_TABLES if table not in connection.introspection.table_names(cursor)]
    if missing:
        raise OperationError(f"{missing[0]} is not there: V2 has been dropped already. `migrate` makes it again.")
    cursor.execute("LOCK TABLE public.conversations_v2, public.messages_v2 IN ACCESS EXCLUSIVE MODE")


def _require_disabled() -> None:
    stage = _read_stage()
    if stage != str(DISABLED):
        raise OperationError(
            f"V2 is at the stage {stage}: roll back first, with `manage.py rollout rollback --reason …`."
        )


def _read_stage() -> str:
    rows = fetch_all("SELECT stage FROM public.rollout_flag WHERE name = %s", [FLAG_NAME])
    return str(rows[0][0]) if rows else str(DISABLED)


def _require_unreferenced() -> None:
    references = fetch_all(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f'"
        " AND confrelid = ANY (%(tables)s::regclass[]) AND NOT conrelid = ANY (%(tables)s::regclass[])",
        {"tables": list(V2_TABLES)},
    )
    for table, constraint in references:
        raise OperationError(f"The table {table} refers to V2 ({constraint}): it would be left half.")


@contextmanager
def _seeing_everything(cursor: Any) -> Iterator[None]:
    """Act as the operations role for the block: policies hide every row from the owner."""
    cursor.execute(f"SET LOCAL ROLE {ROLE_NAMES['ops']}")
    yield
    # If the block fails, the end of the transaction resets the role.
    cursor.execute("RESET ROLE")


def _export(cursor: Any, folder: Path, database: str, found: Mapping[str, TableContents]) -> None:
    """Write each table as CSV, and a file with their checksums. All are new files that only their owner may read.

    An unfinished export leaves no file behind.
    """
    made: list[Path] = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for table in V2_TABLES:
            with _new_file(folder / f"{table}.csv", made) as file:
                with cursor.copy(f"COPY public.{table} TO STDOUT (FORMAT csv, HEADER)") as copy:
                    for chunk in copy:
                        file.write(bytes(chunk))
                _settle(file)
        ((now,),) = fetch_all("SELECT clock_timestamp()")
        facts = {
            "database": database,
            "exported_at": now.isoformat(),
            "tables": {name: {"rows": table.rows, "checksum": table.checksum} for name, table in found.items()},
        }
        with _new_file(folder / "export.json", made) as file:
            file.write(json.dumps(facts, indent=1).encode())
            _settle(file)
        made.clear()
    except FileExistsError as problem:
        raise OperationError(f"{problem.filename} is there already: name a new folder.") from None
    except OSError as problem:
        raise OperationError(f"{folder} cannot be written to: {problem.strerror or problem}.") from None
    finally:
        for path in made:
            path.unlink(missing_ok=True)


def _new_file(path: Path, made: list[Path]) -> Any:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    made.append(path)
    return os.fdopen(descriptor, "wb")


def _settle(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _count(found: Mapping[str, TableContents]) -> str:
    conversations, messages = (found[table].rows for table in V2_TABLES)
    return f"{conversations} conversations and {messages} messages"


def recreate_v2(*, sender: AppConfig, using: str, stdout: Any = None, **given: Any) -> None:
    """Make both tables as migrations and snapshot say, at the stage `disabled` and with all migrations applied.

    At any other stage a person must first roll back or restore, because V2's conversations are lost.
    """
    connection = connections[using]
    with connection.cursor() as cursor:
        if set(V2_TABLES) & set(connection.introspection.table_names(cursor)):
            return
    executor = MigrationExecutor(connection)
    loader = executor.loader
    if executor.migration_plan(loader.graph.leaf_nodes()):
        return
    if _read_stage() != str(DISABLED):
        return
    with transaction.atomic(using):
        with connection.schema_editor() as editor:
            for key in loader.graph.forwards_plan(loader.graph.leaf_nodes(APP)[0]):
                if key[0] == APP:
                    loader.graph.nodes[key].apply(loader.project_state(key, at_end=False), editor)
        with connection.cursor() as cursor:
            for statement in _repairs_of_v2(cursor):
                cursor.execute(statement)
    if stdout is not None:
        stdout.write(RECREATED)


def _repairs_of_v2(cursor: Any) -> list[str]:
    """Return the SQL for what other apps' migrations add to these tables, such as rights and triggers."""
    live = read_live_catalog(cursor)
    return [
        write_repair(difference, live)
        for difference in find_catalog_differences(live)
        if {owning_table(difference.name), difference.name.rpartition(" to ")[0]} & set(V2_TABLES)
    ]
