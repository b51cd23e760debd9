"""What a client may send, and how long it may take. Nothing of Django is imported here: gunicorn's configuration reads it."""

REQUEST_LINE_BYTES = 4094
HEADER_FIELDS, HEADER_FIELD_BYTES, HEAD_BYTES = 60, 8190, 64 * 1024
BODY_BYTES = 256 * 1024
# A browser sends a head at once. A body of the longest message takes a phone with almost no signal a few seconds.
HEAD_SECONDS, BODY_SECONDS = 10.0, 30.0
KEEP_ALIVE_SECONDS = 5
# For reading an answer: a fixed time, and more for a large one.
SEND_SECONDS, SEND_BYTES_PER_SECOND = 15.0, 16 * 1024
# After the last answer a client may still be sending; if we closed at once, it might never see that answer.
LINGER_SECONDS = 2.0
# In one worker process. File descriptors stay under the usual limit of 1024.
CONNECTIONS = 800
BUFFERED_BYTES = 64 * 1024 * 1024

# Where the application finds, in a request's environment, the refusal that it is to answer with.
REFUSAL_KEY = "carecollective.refusal"
