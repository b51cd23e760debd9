"""The number of each advisory lock: who takes it, and why. Two locks never share a number.

Applied migrations write their number themselves. Rate limits lock a hash of the action and the member or client
(`carecollective/core/rate_limits.py`), in the key space of 64 bits.
"""

# Whoever makes or changes the database roles, one at a time.
ROLES = 7_262_001
# The leading worker, for as long as it leads.
WORKER = 7_262_002
# A restore drill, so that the scratch database of a killed one can be told from one in use.
RESTORE_DRILL = 7_262_008
# The leading guard, for as long as it leads.
GUARD = 7_262_010
# Whoever adds to the audit log or rewrites a name in it, one at a time: each row holds the hash of the row before.
AUDIT_LOG = 7_262_011
# Each start of a V2 conversation, shared; the drain certificate waits for them by taking it alone.
V2_STARTS = 7_262_012
# `migrate`, so that of several hosts that start at once one migrates and the others wait.
MIGRATIONS = 7_262_013
# Whoever signs off, so that nobody signs both parts at the same moment.
SIGN_OFFS = 7_262_014
