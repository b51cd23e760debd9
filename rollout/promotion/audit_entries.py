"""Checks who approved each step up, and that no row about people was changed after it was written."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC
from hashlib import sha256

from carecollective.core.database import fetch_all
from rollout.models import AuditEntry, Change, Proposal, ProposalState, Source
from rollout.promotion.approval_proofs import approval_fields, step_fields
from rollout.stages import Stage, order_key

FORMER = "Former member"  # the name that an erasure leaves
# How often the application writes a row: once, or a second time to decide a proposal.
WRITES = {"rollout_proposal": 2, "rollout_sign_off": 1, "rollout_root_cause": 1, "rollout_delivery": 1}
WHAT = {
    "rollout_proposal": "Proposal",
    "rollout_sign_off": "Signature",
    "rollout_root_cause": "Root cause",
    "rollout_delivery": "Delivered message",
}
# Both Django and the trigger use UTC, so a moment has one spelling.
_ROWS = {
    table: f"""
SELECT t.id, (
    SELECT jsonb_object_agg(part.key, part.value) FROM jsonb_each(to_jsonb(t)) AS part
    WHERE part.key = ANY (string_to_array(e.columns, ',')))::text, to_jsonb(t)::text LIKE '%%"{FORMER}"%%'
FROM public.{table} AS t LEFT JOIN LATERAL (
    SELECT columns FROM public.rollout_audit_entry AS e
    WHERE e.table_name = '{table}' AND e.row_id = t.id ORDER BY e.id DESC LIMIT 1) AS e ON true
WHERE {condition} ORDER BY t.id
"""  # noqa: S608 (our own names)
    for table, condition in {
        "rollout_proposal": "true",
        "rollout_sign_off": "true",
        "rollout_root_cause": "t.filed_at IS NOT NULL",
        "rollout_delivery": "t.delivered_at IS NOT NULL",
    }.items()
}


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


def find_unproven(proposal_ids: Sequence[int]) -> frozenset[int]:
    """Return the proposals that the application did not make or approve."""
    return frozenset(row[0] for row in fetch_all(_UNPROVEN, [list(proposal_ids)]))


def read_entries() -> list[AuditEntry]:
    """Read the chain from its beginning."""
    return list(AuditEntry.objects.order_by("pk"))


def steps_up(lines: Sequence[Change]) -> list[Change]:
    """Return the changes that let more members in."""
    return [
        line
        for line in lines
        if line.from_stage
        and line.to_stage
        and order_key(Stage.parse(line.to_stage)) > order_key(Stage.parse(line.from_stage))
    ]


def find_unapproved(steps: Sequence[Change]) -> Iterator[str]:
    """Describe each step up that claims to be approved but is not."""
    approved: dict[tuple[int, str, str], list[Proposal]] = defaultdict(list)
    for proposal in Proposal.objects.filter(state=ProposalState.APPROVED).order_by("pk"):
        approved[proposal.from_version, proposal.from_stage, proposal.to_stage].append(proposal)
    for line in steps:
        if line.source == Source.OUTSIDE:
            continue
        found = approved[line.flag_version - 1, line.from_stage or "", line.to_stage or ""]
        if not any(_approves(proposal, line) for proposal in found):
            yield f"{name_line(line)} passes for approved, and no two people approved it and nobody overrode."


def find_problems(entries: Sequence[AuditEntry]) -> Iterator[str]:
    """Describe each break in the chain, and each row that differs from its latest entry."""
    previous = ""
    for entry in entries:
        if entry.hash != chained_hash(entry, previous):
            yield (
                f"Entry {entry.pk} on {WHAT.get(entry.table_name, entry.table_name).lower()} {entry.row_id} does not"
                " follow from the one before it: it was altered or added, or one before it was removed."
            )
        previous = entry.hash
    written: dict[tuple[str, int], list[AuditEntry]] = defaultdict(list)
    for entry in entries:
        written[entry.table_name, entry.row_id].append(entry)
    for table in _ROWS:
        yield from _compare_rows(table, written)
    for table, row_id in written:
        yield f"{WHAT.get(table, table)} {row_id} was removed."


def chained_hash(entry: AuditEntry, previous: str) -> str:
    """Return the hash that the entry must carry after one that carries `previous`."""
    at = entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    parts = (previous, entry.pk, at, entry.table_name, entry.row_id, entry.columns, entry.digest)
    return sha256("\n".join(map(str, parts)).encode()).hexdigest()


def name_line(line: Change) -> str:
    """Describe a line of the record so that people find it."""
    return f"Line {line.pk} (version {line.flag_version}, {line.from_stage} to {line.to_stage}, by {line.actor_label})"


def _compare_rows(table: str, written: dict[tuple[str, int], list[AuditEntry]]) -> Iterator[str]:
    for row_id, content, is_erased in fetch_all(_ROWS[table]):
        entries = written.pop((table, row_id), [])
        if not entries:
            yield f"{WHAT[table]} {row_id} was added past the database's triggers."
        elif sha256((content or "").encode()).hexdigest() != entries[-1].digest:
            yield f"{WHAT[table]} {row_id} was altered: it is not what was written at {entries[-1].at:%Y-%m-%d %H:%M:%S} UTC."
        elif len(entries) > WRITES[table] and not is_erased:
            yield f"{WHAT[table]} {row_id} was written again after it was settled."


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
