"""The manifest beside a backup: what is in it, to compare a copy with."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from carecollective.operations.contents import TableContents
from carecollective.operations.errors import OperationError
from carecollective.operations.verification.parts import Part
from carecollective.postgres import locks

FORMAT = 1
DUMP, MANIFEST, PARTIAL = ".dump", ".manifest.json", ".partial"
# The manifest of an encrypted dump has the same name as that of a plain one.
ENCRYPTED_DUMP = f"{DUMP}.age"
KINDS = ("policies", "grants", "structure")
CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """Times are the database's. `structure` holds tables, columns, functions and all other parts."""

    database: str
    owner: str
    started_at: str
    finished_at: str
    bytes: int
    sha256: str
    versions: Mapping[str, str]
    migrations: Mapping[str, str]
    tables: Mapping[str, TableContents]
    sequences: Mapping[str, int]
    policies: Sequence[Part]
    grants: Sequence[Part]
    structure: Sequence[Part]
    restore_verified_at: str | None = None

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())


def path_of_manifest(dump: Path) -> Path:
    return dump.with_name(dump.name.removesuffix(".age").removesuffix(DUMP) + MANIFEST)


def write_manifest(manifest: Manifest, dump: Path) -> None:
    """Write the manifest beside its dump, whole or not at all. Only its owner may read it."""
    with reserved(path_of_manifest(dump)) as (draft, _descriptor):
        fill_manifest(draft, manifest)
        draft.replace(path_of_manifest(dump))


def fill_manifest(draft: Path, manifest: Manifest) -> None:
    """Write a manifest into its draft, and wait until it is on the disk."""
    with draft.open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, **asdict(manifest)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def reserved(path: Path) -> Iterator[tuple[Path, int]]:
    """Lock a new draft of a file; delete it at the end if it is still there.

    Yields the draft and the descriptor of its lock. A draft without a lock was left by a killed process. Only its owner may
    read it.
    """
    draft = path.with_name(path.name + PARTIAL)
    try:
        descriptor = locks.try_lock(draft)
    except OSError as problem:
        raise OperationError(f"{draft.parent} cannot be written to: {problem.strerror or problem}.") from None
    if descriptor is None:
        raise OperationError(f"Another backup is being written to {draft}.")
    try:
        yield draft, descriptor
    finally:
        draft.unlink(missing_ok=True)
        os.close(descriptor)


def read_manifest(dump: Path) -> Manifest:
    """Read the manifest of a dump. Raises OperationError if it is missing or cannot be read."""
    path = path_of_manifest(dump)
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if read.pop("format") != FORMAT:
            raise ValueError("of another format")
        tables = {name: TableContents(**table) for name, table in read.pop("tables").items()}
        parts: dict[str, Any] = {kind: [Part(**part) for part in read.pop(kind)] for kind in KINDS}
        return Manifest(tables=tables, **parts, **read)
    except FileNotFoundError:
        raise OperationError(f"{path} is missing: without it nobody can tell whether a copy is whole.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise OperationError(f"{path} cannot be read ({problem}).") from None


def mark_restored(dump: Path, *, at: str) -> None:
    write_manifest(replace(read_manifest(dump), restore_verified_at=at), dump)


def digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def find_differences(expected: Manifest, found: Manifest) -> Iterator[str]:
    """Yield the differences between a copy and its manifest, in words. Sequences may be ahead."""
    for name in sorted(expected.tables.keys() | found.tables.keys()):
        before, after = expected.tables.get(name), found.tables.get(name)
        if before is None or after is None:
            yield f"{name}: {'not in the manifest' if before is None else 'missing'}"
        elif before.rows != after.rows:
            yield f"{name}: {before.rows} rows expected, {after.rows} found"
        elif before.checksum != after.checksum:
            yield f"{name}: all {before.rows} rows are there, and something in them differs"
    for name, value in expected.sequences.items():
        if found.sequences.get(name, -1) < value:
            yield f"sequence {name}: at least {value} expected, {found.sequences.get(name, 'none')} found"
    for kind in KINDS:
        before_parts, after_parts = set(getattr(expected, kind)), set(getattr(found, kind))
        for part in sorted(before_parts - after_parts):
            yield f"missing: {_describe(part)}"
        for part in sorted(after_parts - before_parts):
            yield f"not in the manifest: {_describe(part)}"


def _describe(part: Part) -> str:
    place = " ".join(filter(None, (part.table, part.name)))
    return f"{part.kind} {place}: {part.words}" + (
        "" if part.sound or part.kind == "table" else " (not valid or switched off)"
    )
