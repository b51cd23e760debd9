"""The audit log: recomputes the chain of hashes that the database's trigger wrote."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from rollout.models import Change, Flag, Source
from rollout.promotion import audit_entries
from rollout.targeting.state import FLAG_NAME


@dataclass(frozen=True, slots=True)
class Audit:
    """The result of a verification. Keep `head`, the newest line's hash, elsewhere: it proves that no line was cut off.

    `entries` and `entries_head` are the same for who proposed, approved, signed and was told. `from_outside` lists the
    steps up that nobody approved: the record is intact, but somebody should ask who made them.
    """

    lines: int
    head: str
    problems: tuple[str, ...]
    entries: int = 0
    entries_head: str = ""
    from_outside: tuple[str, ...] = ()

    @property
    def intact(self) -> bool:
        return not self.problems


def verify(*, expected_head: str = "") -> Audit:
    """Check the chain of hashes, and the last line against the flag.

    Also check that each step up was approved by two people or overridden, that nobody edited who approved, signed or was
    told, and that the line with the hash `expected_head`, noted earlier, is still there.
    """
    lines, entries = list(Change.objects.order_by("pk")), audit_entries.read_entries()
    steps_up = audit_entries.steps_up(lines)
    problems = [
        *_broken_links(lines),
        *_end(lines),
        *audit_entries.find_unapproved(steps_up),
        *audit_entries.find_problems(entries),
    ]
    hashes = {line.hash for line in lines} | {entry.hash for entry in entries}
    if expected_head and expected_head not in hashes:
        problems.append("No line has the hash that was expected: the record was rewritten or cut off.")
    return Audit(
        lines=len(lines),
        head=lines[-1].hash if lines else "",
        problems=tuple(problems),
        entries=len(entries),
        entries_head=entries[-1].hash if entries else "",
        from_outside=tuple(audit_entries.name_line(line) for line in steps_up if line.source == Source.OUTSIDE),
    )


def chained_hash(line: Change, previous: str) -> str:
    """Return the hash that the line must carry after one that carries `previous`."""
    return sha256(f"{previous}\n{canonical_text(line)}".encode()).hexdigest()


def canonical_text(line: Change) -> str:
    """Return the text that is hashed for a line: each value prefixed with its length, so that it is unambiguous."""
    values: Iterable[object] = (
        line.pk,
        line.at,
        line.actor_id,
        line.actor_label,
        line.source,
        line.from_stage,
        line.to_stage,
        line.from_v1_writes,
        line.to_v1_writes,
        line.reason,
        line.override,
        line.database_role,
        line.flag_version,
    )
    return ",".join(_length_prefixed(value) for value in values)


def _length_prefixed(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, datetime):
        text = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    else:
        text = str(value).lower() if isinstance(value, UUID) else str(value)
    return f"{len(text.encode())}:{text}"


def _broken_links(lines: list[Change]) -> Iterator[str]:
    previous = ""
    for line in lines:
        if line.hash != chained_hash(line, previous):
            yield (
                f"Line {line.pk} (version {line.flag_version}, {line.at:%Y-%m-%d %H:%M:%S} UTC) does not follow from what"
                " stands before it: it was altered or added, or a line before it was removed."
            )
        # Continue from the written hash: one break is reported once, and not for all lines after it.
        previous = line.hash


def _end(lines: list[Change]) -> Iterator[str]:
    flag = Flag.objects.filter(name=FLAG_NAME).values_list("stage", "v1_writes", "version").first()
    if flag is None:
        return
    if not lines:
        yield "The record is empty, and the flag exists."
        return
    last = lines[-1]
    if (last.to_stage, last.to_v1_writes, last.flag_version) != flag:
        stage, _v1_writes, version = flag
        yield (
            f"The record ends at version {last.flag_version} ({last.to_stage}), and the flag is at version {version}"
            f" ({stage}): lines were removed from the end, or the flag was changed past its trigger."
        )
