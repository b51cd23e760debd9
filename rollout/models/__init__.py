"""The tables of the rollout; Django looks for them here."""

from rollout.models.alerts import Alert, ChangeAlertsStart, Delivery, GuardLease, V1Trial
from rollout.models.change import Change, Source
from rollout.models.event_log import EventLog
from rollout.models.flag import Flag, Rollback
from rollout.models.promotion import AuditEntry, DrainCertificate, Process, Proposal, ProposalState, RootCause, SignOff

__all__ = [
    "Alert",
    "AuditEntry",
    "Change",
    "ChangeAlertsStart",
    "Delivery",
    "DrainCertificate",
    "EventLog",
    "Flag",
    "GuardLease",
    "Process",
    "Proposal",
    "ProposalState",
    "Rollback",
    "RootCause",
    "SignOff",
    "Source",
    "V1Trial",
]
