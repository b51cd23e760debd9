"""Proofs that a proposal, an approval or an override went through the application.

A proof is an HMAC with a key made from DJANGO_SECRET_KEY. The database keeps the key where the web role cannot read it:
SQL as the web role can write a row in anybody's name, but not its proof. See decision 15.
"""

import hmac
from hashlib import sha256
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connections

if TYPE_CHECKING:
    from rollout.models import Proposal

BLOCK_BYTES = 64  # of SHA-256, as HMAC pads its key

_KEY_TABLE_EXISTS = "SELECT to_regclass('public.rollout_approval_key') IS NOT NULL"
_KEEP_KEY = """
INSERT INTO public.rollout_approval_key (inner_pad, outer_pad)
SELECT %(inner)s, %(outer)s WHERE (
    SELECT inner_pad FROM public.rollout_approval_key ORDER BY id DESC LIMIT 1) IS DISTINCT FROM %(inner)s
"""


def prove(*fields: object) -> str:
    """Return a proof of these fields. Each call returns a different one, so a copied row is found out."""
    nonce = token_hex(16)
    return f"{nonce}.{_digest(nonce, fields)}"


def is_proven(proof: str, *fields: object) -> bool:
    """Whether this application made the proof for these fields."""
    nonce, _, digest = proof.partition(".")
    return hmac.compare_digest(digest, _digest(nonce, fields))


def step_fields(proposal: "Proposal") -> tuple[object, ...]:
    """Return what the proof of a proposal or an override covers. The command line has no proposer."""
    kind = "override" if proposal.override else "propose"
    return kind, proposal.from_stage, proposal.to_stage, proposal.from_version, proposal.proposer_id or ""


def approval_fields(proposal: "Proposal", approver_id: object) -> tuple[object, ...]:
    """Return what the proof of an approval covers."""
    return "approve", proposal.proof, approver_id


def is_proposal_proven(proposal: "Proposal") -> bool:
    """Whether the application wrote the proposal, and not somebody by SQL."""
    return not proposal.override and is_proven(proposal.proof, *step_fields(proposal))


def install_key(using: str = "default", **signal: Any) -> None:
    """Store the key in the database, after each `migrate`. Earlier keys still prove what was approved with them."""
    key = _key().ljust(BLOCK_BYTES, b"\0")
    pads = {"inner": bytes(byte ^ 0x36 for byte in key), "outer": bytes(byte ^ 0x5C for byte in key)}
    with connections[using].cursor() as cursor:
        cursor.execute(_KEY_TABLE_EXISTS)
        if cursor.fetchone() == (True,):
            cursor.execute(_KEEP_KEY, pads)


def _digest(nonce: str, fields: tuple[object, ...]) -> str:
    message = "\n".join([nonce, *map(str, fields)])
    return hmac.new(_key(), message.encode(), sha256).hexdigest()


def _key() -> bytes:
    return hmac.digest(settings.SECRET_KEY.encode(), b"carecollective rollout approvals", sha256)
