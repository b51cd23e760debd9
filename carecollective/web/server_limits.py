"""What a client may send, how long it may take, and how many threads serve. Imports no Django: gunicorn.conf.py reads it."""

REQUEST_LINE_BYTES = 4094
HEADER_FIELDS, HEADER_FIELD_BYTES, HEAD_BYTES = 60, 8190, 64 * 1024
BODY_BYTES = 256 * 1024
# A browser sends a head at once. A body of the longest message takes a phone with almost no signal a few seconds.
HEAD_SECONDS, BODY_SECONDS = 10.0, 30.0
KEEP_ALIVE_SECONDS = 5
# For reading an answer: a fixed time, and more for a large one.
SEND_SECONDS, SEND_BYTES_PER_SECOND = 15.0, 16 * 1024
# A client may still be sending after the last answer; if we closed at once, it might never see that answer.
LINGER_SECONDS = 2.0
# In one worker process. File descriptors stay under the usual limit of 1024.
CONNECTIONS = 800
BUFFERED_BYTES = 64 * 1024 * 1024

# Requests that wait for a stopped database hold their threads. The reserved threads go on answering.
REQUEST_THREADS, RESERVED_THREADS = 8, 2
# Monitors ask these. They have threads of their own, which no other request waits for.
FOR_MONITORS = ("/api/health", "/api/health/live")
MONITOR_THREADS = 2
# Longer than the database lets anybody wait for a lock: a thread held this long waits for more than a lock.
STUCK_SECONDS = 2.5

# The key in a request's environment under which the application finds the refusal to answer with.
REFUSAL_KEY = "carecollective.refusal"
