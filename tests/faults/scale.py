"""How much of each fault: a short form with every test run, all of it with `make faults` (FAULTS=full)."""

import os

FULL = os.environ.get("FAULTS") == "full"

SENDS = 1500 if FULL else 150
WORKER_KILLS = 50 if FULL else 4
BACKEND_KILLS = 10 if FULL else 2
POSTMASTER_KILLS = 3 if FULL else 1
TRIES = 5 if FULL else 2

# What the site promises.
BACK_WITHIN = 10.0
LOCK_ANSWER_WITHIN = 2.1
LOCK_ANSWER_AT_LATEST = 4.0
STATEMENT_CUT_AFTER = 3.5
LOCKED_EVENTS_COST = 0.15
