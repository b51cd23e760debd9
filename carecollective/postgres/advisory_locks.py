"""The number of each advisory lock: who takes it, and why. Two locks never share a number.

Applied migrations write their number themselves. Rate limits lock a hash of the action and the member or client
(`carecollective/core/rate_limits.py`), in the key space of 64 bits.
"""

# Taken to make or change the database roles.
ROLES = 7_262_001
# Held by the leading worker.
WORKER = 7_262_002
# Held by a restore drill: a scratch database without this lock was left by a killed drill.
RESTORE_DRILL = 7_262_008
# Held by the leading guard.
GUARD = 7_262_010
# Taken to add to the audit log or erase a name in it: each row has the hash of the row before.
AUDIT_LOG = 7_262_011
# Shared by starts of V2 conversations. The drain certificate takes it exclusively, and so waits for these.
V2_STARTS = 7_262_012
# Taken by `migrate`: when several hosts start at once, one migrates and the others wait.
MIGRATIONS = 7_262_013
# Taken to sign off, so that one person cannot sign both parts at the same moment.
SIGN_OFFS = 7_262_014
