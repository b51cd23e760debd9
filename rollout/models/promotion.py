"""Promotion and rollback tables. Rows are added, and completed once: a proposal is decided, a root cause filed.

People are kept by id and by the name they had: the row outlives the account.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import F, Q

from carecollective.core.database import ClockTimestamp
from carecollective.formats.moments import moment


class ProposalState(models.TextChoices):
    PENDING = "pending", "Pending"
    APPROVED = "approved", "Approved"
    REFUSED = "refused", "Refused"
    WITHDRAWN = "withdrawn", "Withdrawn"
    STALE = "stale", "Overtaken"


class Proposal(models.Model):
    """A promotion that one person proposes and another approves. It is valid for `from_version` only.

    `evidence` holds the gates' results and their confidence. An override is decided by its proposer alone, and `missing`
    holds what it passed over.
    """

    from_stage = models.TextField()
    to_stage = models.TextField()
    from_version = models.BigIntegerField()
    reason = models.TextField()
    proposer_id = models.UUIDField(null=True)
    proposer_label = models.TextField()
    proposed_at = models.DateTimeField(db_default=ClockTimestamp())
    state = models.TextField(choices=ProposalState.choices, default=ProposalState.PENDING)
    decided_by_id = models.UUIDField(null=True)
    decided_by_label = models.TextField(default="")
    decided_at = models.DateTimeField(null=True)
    decision_reason = models.TextField(default="")
    override = models.BooleanField(default=False)
    missing = models.JSONField(default=list)
    evidence = models.JSONField(default=dict)
    # Proves that the application wrote the row, not SQL run as the web role; see rollout.promotion.approval_proofs.
    proof = models.TextField(default="", editable=False)
    decision_proof = models.TextField(default="", editable=False)

    class Meta:
        default_permissions = ()
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ProposalState.values), name="rollout_proposal_state_is_known"),
            models.CheckConstraint(
                condition=Q(state=ProposalState.PENDING, decided_at=None)
                | (~Q(state=ProposalState.PENDING) & Q(decided_at__isnull=False)),
                name="rollout_proposal_decided_once",
            ),
            models.CheckConstraint(
                condition=~Q(state=ProposalState.APPROVED)
                | Q(override=True)
                | (Q(decided_by_id__isnull=False) & Q(proposer_id__isnull=False) & ~Q(decided_by_id=F("proposer_id"))),
                name="rollout_proposal_takes_two_people",
            ),
            models.UniqueConstraint(
                fields=["state"], condition=Q(state=ProposalState.PENDING), name="rollout_proposal_one_at_a_time"
            ),
            models.UniqueConstraint(
                fields=["proof"], condition=~Q(proof=""), name="rollout_proposal_proof_is_used_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.from_stage} to {self.to_stage}, {self.state}"


class SignOff(models.Model):
    """A person signs an item, or withdraws that; for each item and part the latest row counts.

    `part` is the role that must sign, `role` the one that the signer held, `release` the one that ran.
    """

    item = models.TextField()
    part = models.TextField(default="")
    signer_id = models.UUIDField()
    signer_label = models.TextField()
    signed_at = models.DateTimeField(db_default=ClockTimestamp())
    withdrawn = models.BooleanField(default=False)
    role = models.TextField(default="", db_default="")
    release = models.TextField(default="", db_default="")

    class Meta:
        db_table = "rollout_sign_off"
        default_permissions = ()
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.item} by {self.signer_label}"


class RootCause(models.Model):
    """The form after a rollback: the database opens it with the change, a person files it once."""

    change_id = models.BigIntegerField(unique=True)
    what = models.TextField(default="")
    why = models.TextField(default="")
    fix = models.TextField(default="")
    who = models.TextField(default="")
    due = models.DateField(null=True)
    filed_by_id = models.UUIDField(null=True)
    filed_by_label = models.TextField(default="")
    filed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "rollout_root_cause"
        default_permissions = ()
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(filed_at=None)
                | (Q(due__isnull=False) & ~Q(what="") & ~Q(why="") & ~Q(fix="") & ~Q(who="") & ~Q(filed_by_label="")),
                name="rollout_root_cause_is_filed_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"Root cause of change {self.change_id}"


class DrainCertificate(models.Model):
    """One attempt to prove that no V2 start from before a rollback can still commit.

    Only a row with `issued_at` is a certificate; any other lists in `holders` the sessions that prevented it.
    """

    flag_version = models.BigIntegerField()
    asked_at = models.DateTimeField(db_default=ClockTimestamp())
    issued_at = models.DateTimeField(null=True)
    waited_ms = models.FloatField()
    holders = models.JSONField(default=list)

    class Meta:
        db_table = "rollout_drain_certificate"
        default_permissions = ()
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Version {self.flag_version}, {'issued' if self.issued_at else 'not issued'}"

    @property
    def certified(self) -> bool:
        return self.issued_at is not None

    @property
    def words(self) -> str:
        """What it proves, or which sessions are in the way."""
        if self.issued_at is not None:
            at = moment(self.issued_at, "millisecond")
            return f"No start in V2 commits after {at} (waited {self.waited_ms:.0f} ms)."
        if not self.holders:
            return "A start in V2 was still on its way after a second, and ended just then. Ask again."
        starts = "1 start is" if len(self.holders) == 1 else f"{len(self.holders)} starts are"
        sessions = ", ".join(map(self._name_session, self.holders))
        return f"{starts} still running ({sessions}). Not proven finished yet."

    def _name_session(self, holder: Mapping[str, Any]) -> str:
        session = f"database session {holder['pid']}"
        if not holder["since"]:
            return session
        seconds = (self.asked_at - datetime.fromisoformat(holder["since"])).total_seconds()
        return f"{session} for {max(seconds, 0):.0f} s"


class AuditEntry(models.Model):
    """One write to a row about who proposed, approved, signed, filed or was alerted. Entries are chained by hashes.

    Triggers write them. `digest` is the hash of the row's `columns` at that time; see rollout.promotion.audit_log.
    """

    at = models.DateTimeField(db_default=ClockTimestamp())
    table_name = models.TextField()
    row_id = models.BigIntegerField()
    columns = models.TextField()
    digest = models.TextField()
    hash = models.TextField(editable=False)

    class Meta:
        db_table = "rollout_audit_entry"
        default_permissions = ()
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.table_name} {self.row_id}"


class Process(models.Model):
    """A process that follows the flag: the version it knows, since when, and its last heartbeat.

    `backend_pid` is its database session: when that is gone, the process has ended or lost its connection. `held_off`
    means that its environment says MESSAGING_V2_ROLLOUT=disabled.
    """

    key = models.TextField(primary_key=True)
    flag_version = models.BigIntegerField()
    switched_at = models.DateTimeField(db_default=ClockTimestamp())
    seen_at = models.DateTimeField(db_default=ClockTimestamp())
    backend_pid = models.IntegerField(null=True)
    held_off = models.BooleanField(default=False, db_default=False)

    class Meta:
        default_permissions = ()
        ordering = ["key"]

    def __str__(self) -> str:
        return self.key
