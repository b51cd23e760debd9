"""The audit log: recomputes the hash chains that the database's triggers wrote, and checks what they record.

One chain is of the changes, the other of the rows about people: who proposed, approved, signed and was told.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple, TypeVar
from uuid import UUID

from carecollective.core.database import fetch_all
from rollout.models import AuditEntry, Change, Flag, Proposal, ProposalState, Source
from rollout.promotion.approval_proofs import approval_fields, step_fields
from rollout.stages import Stage, order_key
from rollout.targeting.state import FLAG_NAME

Link = TypeVar("Link", Change, AuditEntry)

# Both Django and the trigger use UTC, so a moment has one spelling.
_MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"
# An erasure leaves the name "Former member".
_ROWS = """
SELECT t.id, (
    SELECT jsonb_object_agg(part.key, part.value) FROM jsonb_each(to_jsonb(t)) AS part
    WHERE part.key = ANY (string_to_array(e.columns, ',')))::text, to_jsonb(t)::text LIKE '%"Former member"%'
FROM public.{table} AS t LEFT JOIN LATERAL (
    SELECT columns FROM public.rollout_audit_entry AS e
    WHERE e.table_name = '{table}' AND e.row_id = t.id ORDER BY e.id DESC LIMIT 1) AS e ON true
WHERE {condition} ORDER BY t.id
"""
# The time comes from the audit entries: a row's own columns say whatever its writer chose.
_UNPROVEN = """
SELECT p.id FROM public.rollout_proposal AS p, LATERAL (
    SELECT min(e.at) AS written, max(e.at) AS decided FROM public.rollout_audit_entry AS e
    WHERE e.table_name = 'rollout_proposal' AND e.row_id = p.id) AS entry
WHERE p.id = ANY (%s) AND (
    public.rollout_is_proven(p.proof, ARRAY[
        CASE WHEN p.override THEN 'override' ELSE 'propose' END, p.from_stage, p.to_stage, p.from_version::text,
        p.proposer_id::text], entry.written) IS FALSE
    OR (p.state = 'approved' AND NOT p.override AND public.rollout_is_proven(
        p.decision_proof, ARRAY['approve', p.proof, p.decided_by_id::text], entry.decided) IS FALSE))
"""


class _AuditedTable(NamedTuple):
    """A table with rows about people. `writes`: how often the application writes a row until it is settled."""

    title: str
    writes: int = 1
    condition: str = "true"


AUDITED = {
    "rollout_proposal": _AuditedTable("Proposal", writes=2),
    "rollout_sign_off": _AuditedTable("Signature"),
    "rollout_root_cause": _AuditedTable("Root cause", condition="t.filed_at IS NOT NULL"),
    "rollout_delivery": _AuditedTable("Delivered message", condition="t.delivered_at IS NOT NULL"),
}


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
    lines, entries = list(Change.objects.order_by("pk")), list(AuditEntry.objects.order_by("pk"))
    steps_up = [line for line in lines if _is_step_up(line)]
    problems = [
        *_broken_links(lines, chained_hash, _line_at),
        *_end(lines),
        *_find_unapproved(steps_up),
        *_broken_links(entries, _chained_entry_hash, _entry_on),
        *_changed_rows(entries),
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
        from_outside=tuple(_name_line(line) for line in steps_up if line.source == Source.OUTSIDE),
    )


def find_unproven(proposal_ids: Sequence[int]) -> frozenset[int]:
    """Return the proposals that the application did not make or approve."""
    return frozenset(row[0] for row in fetch_all(_UNPROVEN, [list(proposal_ids)]))


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
        text = value.astimezone(UTC).strftime(_MOMENT)
    else:
        text = str(value).lower() if isinstance(value, UUID) else str(value)
    return f"{len(text.encode())}:{text}"


def _chained_entry_hash(entry: AuditEntry, previous: str) -> str:
    at = entry.at.astimezone(UTC).strftime(_MOMENT)
    parts = (previous, entry.pk, at, entry.table_name, entry.row_id, entry.columns, entry.digest)
    return sha256("\n".join(map(str, parts)).encode()).hexdigest()


def _broken_links(
    links: Sequence[Link], chained: Callable[[Link, str], str], describe: Callable[[Link], str]
) -> Iterator[str]:
    previous = ""
    for link in links:
        if link.hash != chained(link, previous):
            yield (
                f"{describe(link)} does not follow from what stands before it: it was altered or added, or one before it"
                " was removed."
            )
        # Continue from the written hash: one break is reported once, and not for all links after it.
        previous = link.hash


def _line_at(line: Change) -> str:
    return f"Line {line.pk} (version {line.flag_version}, {line.at:%Y-%m-%d %H:%M:%S} UTC)"


def _entry_on(entry: AuditEntry) -> str:
    return f"Entry {entry.pk} on {_title_of(entry.table_name).lower()} {entry.row_id}"


def _title_of(table: str) -> str:
    return AUDITED[table].title if table in AUDITED else table


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


def _is_step_up(line: Change) -> bool:
    """Whether the change lets more members in."""
    if not line.from_stage or not line.to_stage:
        return False
    return order_key(Stage.parse(line.to_stage)) > order_key(Stage.parse(line.from_stage))


def _find_unapproved(steps: Sequence[Change]) -> Iterator[str]:
    """Describe each step up that claims to be approved but is not."""
    approved: dict[tuple[int, str, str], list[Proposal]] = defaultdict(list)
    for proposal in Proposal.objects.filter(state=ProposalState.APPROVED).order_by("pk"):
        approved[proposal.from_version, proposal.from_stage, proposal.to_stage].append(proposal)
    for line in steps:
        if line.source == Source.OUTSIDE:
            continue
        found = approved[line.flag_version - 1, line.from_stage or "", line.to_stage or ""]
        if not any(_approves(proposal, line) for proposal in found):
            yield f"{_name_line(line)} passes for approved, and no two people approved it and nobody overrode."


def _name_line(line: Change) -> str:
    """Describe a line of the record so that people find it."""
    return f"Line {line.pk} (version {line.flag_version}, {line.from_stage} to {line.to_stage}, by {line.actor_label})"


def _approves(proposal: Proposal, line: Change) -> bool:
    if proposal.override != line.override or not _was_proven(line, proposal.proof, step_fields(proposal)):
        return False
    if proposal.override:
        return proposal.proposer_id == line.actor_id
    proposer, approver = proposal.proposer_id, proposal.decided_by_id
    is_by_two = None not in (proposer, approver) and proposer != approver == line.actor_id
    return is_by_two and _was_proven(line, proposal.decision_proof, approval_fields(proposal, approver))


def _was_proven(line: Change, proof: str, fields: tuple[object, ...]) -> bool:
    """Ask the database, which has the earlier keys too. A change from before the first key needs no proof."""
    query = "SELECT public.rollout_is_proven(%s, %s::text[], %s)"
    ((proven,),) = fetch_all(query, [proof, list(map(str, fields)), line.at])
    return proven is not False


def _changed_rows(entries: Sequence[AuditEntry]) -> Iterator[str]:
    """Describe each row that differs from its latest entry."""
    written: dict[tuple[str, int], list[AuditEntry]] = defaultdict(list)
    for entry in entries:
        written[entry.table_name, entry.row_id].append(entry)
    for table, audited in AUDITED.items():
        query = _ROWS.format(table=table, condition=audited.condition)
        for row_id, content, is_erased in fetch_all(query):
            name, found = f"{audited.title} {row_id}", written.pop((table, row_id), [])
            if not found:
                yield f"{name} was added past the database's triggers."
            elif sha256((content or "").encode()).hexdigest() != found[-1].digest:
                yield f"{name} was altered: it is not what was written at {found[-1].at:%Y-%m-%d %H:%M:%S} UTC."
            elif len(found) > audited.writes and not is_erased:
                yield f"{name} was written again after it was settled."
    for table, row_id in written:
        yield f"{_title_of(table)} {row_id} was removed."
