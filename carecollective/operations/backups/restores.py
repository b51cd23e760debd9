"""Restores a backup into an empty database, all of it or nothing, and compares the copy with its manifest."""

import shutil
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql

from carecollective.operations.backups.drill_record import recording_drill
from carecollective.operations.backups.dumps import read_state
from carecollective.operations.backups.encryption import decrypt, find_identities, is_encrypted
from carecollective.operations.backups.manifest import (
    Manifest,
    digest_of,
    find_differences,
    mark_restored,
    read_manifest,
)
from carecollective.operations.backups.scratch import drop_database, exclusive_drill, new_name
from carecollective.operations.connections import OPERATIONS, Session, connected, url_of, with_database
from carecollective.operations.contents import Say
from carecollective.operations.errors import OperationError
from carecollective.operations.pg_tools import Client, Pump, find_client, run_client, run_script
from carecollective.postgres.dsn import ROLE_NAMES, SERVICE_ROLES, connect, parse_url, why_unreachable
from carecollective.postgres.roles import fetch_value, grant_database, let_act_as, may_act_as, role_exists

# pg_restore sets this parameter since this version; earlier servers do not know it.
TRANSACTION_TIMEOUT = 17
_HOLDS_A_TABLE = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema'))"
_BUILTIN = sql.SQL("TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'")
_FUNCTIONS_OF_OPERATIONS = """
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = 'public' AND p.oid::regprocedure::text = ANY (%s)
"""


def restore_into(dump: Path, url: str, *, say: Say, identity: Path | None = None) -> Manifest:
    """Restore into an empty or new database of the role in `url`; return the manifest.

    `identity` is the file with the secret key of an encrypted dump; the default is BACKUP_IDENTITY_FILE. The decrypted dump is
    never on the disk. Raises OperationError, also if the copy differs from the manifest.
    """
    manifest = read_manifest(dump)
    _check_dump(dump, manifest, say=say)
    source = _open_source(dump, identity)
    _create_database(url)
    with connected(url, autocommit=True) as session:
        _check_target(session)
        client = find_client("pg_restore", server_version=_version_of(manifest))
        with _operations_may_own_functions(session):
            _run(client, source, manifest, url=url, server_version=session.info.server_version // 10_000, say=say)
            _give_functions_back(session, manifest)
        grant_database(session, database=session.info.dbname, owner=session.info.user)
    compare_with(manifest, url, say=say)
    return manifest


def run_restore_drill(dump: Path, *, say: Say, identity: Path | None = None) -> Manifest:
    """Restore into a scratch database, compare everything, drop it, and record how that went.

    The manifest notes a success, too. Raises OperationError.
    """
    here = url_of("owner")
    with connected(here, autocommit=True) as session, exclusive_drill(session), recording_drill(session, dump):
        name = new_name(session)
        try:
            _create(session, name)
            manifest = restore_into(dump, with_database(here, name), say=say, identity=identity)
            moment = fetch_value(session, "SELECT clock_timestamp()")
        except BaseException as problem:
            # If it was stopped while connecting, its frames hold a connection, and the server would wait for that before a drop.
            traceback.clear_frames(problem.__traceback__)
            raise
        finally:
            say("Dropping the scratch database …")
            drop_database(session, name)
    mark_restored(dump, at=moment.isoformat())
    return manifest


def compare_with(manifest: Manifest, url: str, *, say: Say) -> None:
    """Compare a database with a manifest: rows, policies, grants, structure. Raises OperationError with the differences."""
    with connected(url) as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OPERATIONS)))
        try:
            found = read_state(session, say=say)
        except psycopg.errors.InsufficientPrivilege as problem:
            raise OperationError(f"The copy cannot be read as {OPERATIONS}: {problem.diag.message_primary}.") from None
    differences = list(find_differences(manifest, found))
    if differences:
        raise OperationError("\n- ".join(["The copy is not what was backed up:", *differences]))


def _check_dump(dump: Path, manifest: Manifest, *, say: Say) -> None:
    if not dump.is_file():
        raise OperationError(f"There is no file {dump}.")
    say("Reading the dump …")
    if dump.stat().st_size != manifest.bytes or digest_of(dump) != manifest.sha256:
        raise OperationError(f"{dump} is not the file that was written: its checksum is not the manifest's.")


def _create_database(url: str) -> None:
    """Make the database if it is missing; the role in the URL owns it."""
    name = parse_url(url).get("dbname", "")
    try:
        connect(url).close()
    except psycopg.OperationalError as problem:
        if f'database "{name}" does not exist' not in str(problem):
            raise OperationError(why_unreachable(problem)) from None
        with connected(with_database(url, "postgres"), autocommit=True) as session:
            _create(session, name)


def _create(session: Session, name: str) -> None:
    try:
        session.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), _template(session)))
    except psycopg.errors.InsufficientPrivilege:
        raise OperationError(
            f"The role {session.info.user} may not create databases: have an administrator create one of its own, "
            "and name it with --into."
        ) from None


def _template(session: Session) -> sql.Composable:
    """Return template and locale for a new database. Before PostgreSQL 17 it takes the current database's locale."""
    if session.info.user == ROLE_NAMES["owner"]:
        # The embedded server's template1 has our locale, and its rights on large objects are revoked.
        return sql.SQL("")
    if session.info.server_version >= 170_000:
        return _BUILTIN
    found = session.execute(
        "SELECT datcollate, datctype, CASE datlocprovider WHEN 'i' THEN daticulocale END FROM pg_database"
        " WHERE datname = current_database()"
    ).fetchone()
    collate, ctype, icu = found or ("C", "C", None)
    words = sql.SQL("TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE {} LC_CTYPE {}").format(collate, ctype)
    return words + sql.SQL(" LOCALE_PROVIDER icu ICU_LOCALE {}").format(icu) if icu else words


def _check_target(session: Session) -> None:
    if fetch_value(session, _HOLDS_A_TABLE):
        raise OperationError(
            f"The database {session.info.dbname} holds tables already. A backup goes into a new or an empty database only: "
            "name one with --into, or try the backup with --verify."
        )
    missing = [ROLE_NAMES[role] for role in SERVICE_ROLES if not role_exists(session, ROLE_NAMES[role])]
    if missing:
        raise OperationError(
            f"The server does not know the role {missing[0]}: run `manage.py create_roles` there first, with DATABASE_URL set."
        )
    owner = session.info.user
    if not may_act_as(session, owner, OPERATIONS):
        statement = let_act_as(session, owner, OPERATIONS).as_string(session)
        raise OperationError(
            f"The role {owner} may not act as {OPERATIONS}, which owns functions there: have an administrator run {statement}."
        )


@contextmanager
def _operations_may_own_functions(session: Session) -> Iterator[None]:
    """Let the operations role create in the schema for the block: the new owner of a function needs that right."""
    role = sql.Identifier(OPERATIONS)
    session.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(role))
    try:
        yield
    finally:
        session.execute(sql.SQL("REVOKE CREATE ON SCHEMA public FROM {}").format(role))


def _open_source(dump: Path, identity: Path | None) -> Pump:
    """Return the pump that gives pg_restore the dump, decrypted. Raises OperationError without the right key."""
    if is_encrypted(dump):
        return partial(decrypt, source=dump, identities=find_identities(dump, identity))

    def copy(pipe: IO[bytes]) -> None:
        with dump.open("rb") as file:
            shutil.copyfileobj(file, pipe)

    return copy


def _run(client: Client, source: Pump, manifest: Manifest, *, url: str, server_version: int, say: Say) -> None:
    total, done = len(manifest.tables), 0

    def on_line(line: str) -> None:
        nonlocal done
        if line.startswith("processing data for table"):
            done += 1
            say(f"Restore: {done} of {total} tables")

    contents = _list_contents(client, source)
    with tempfile.NamedTemporaryFile("w", suffix=".list", encoding="utf-8") as wanted:
        wanted.write("\n".join(contents))
        wanted.flush()
        arguments = ["--no-owner", f"--use-list={wanted.name}"]
        if client.version >= TRANSACTION_TIMEOUT > server_version:
            run_script(client, arguments, url=url, on_line=on_line, give_input=source)
        else:
            arguments += ["--single-transaction", "--exit-on-error"]
            run_client(client, arguments, url=url, on_line=on_line, give_input=source)


def _list_contents(client: Client, source: Pump) -> Sequence[str]:
    """Return the dump's table of contents without default privileges: they name the owner on the first server."""
    listed: list[bytes] = []
    run_client(
        client,
        ["--list"],
        url=None,
        on_line=lambda _line: None,
        take_output=listed.extend,
        give_input=source,
    )
    return [line for line in b"".join(listed).decode(errors="replace").splitlines() if " DEFAULT ACL " not in line]


def _give_functions_back(session: Session, manifest: Manifest) -> None:
    theirs = [part.name for part in manifest.structure if part.kind == "function" and " of operations:" in part.words]
    for (name,) in session.execute(_FUNCTIONS_OF_OPERATIONS, [theirs]).fetchall():
        # The name comes from the catalogue, quoted, with its arguments.
        session.execute(f"ALTER FUNCTION {name} OWNER TO {OPERATIONS}".encode())


def _version_of(manifest: Manifest) -> int:
    """Return the major version of the pg_dump that wrote it: an older pg_restore could not read it."""
    words = manifest.versions.get("client", "").rsplit(" ", 1)[-1]
    digits = words.split(".")[0]
    return int(digits) if digits.isdigit() else 0
