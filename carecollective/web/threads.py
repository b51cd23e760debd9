"""How many threads a serving process has, and what some of them are kept free for.

Nothing of Django is imported here: gunicorn's configuration reads it.
"""

# A request that waits for a database that has stopped holds its thread for as long. The reserved ones go on answering.
REQUEST_THREADS, RESERVED_THREADS = 8, 2
# Monitors ask these. Whatever else waits for a thread, they have some of their own.
FOR_MONITORS = ("/api/health", "/api/health/live")
MONITOR_THREADS = 2
# Longer than the database lets anybody wait for a lock: who holds a thread for so long waits for more than a lock.
STUCK_SECONDS = 2.5
