"""Changing the stage: proposals, approvals, sign-offs, rollbacks, and the record of all of them."""
