"""How the site is served. Address and number of workers come from `manage.py serve`, or from gunicorn's own options."""

import os

wsgi_app = "carecollective.wsgi:application"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
threads = 8
preload_app = False

# gunicorn's default is one socket per user, which two sites of the same user would fight over.
control_socket_disable = True
# The heartbeat files must not wait for a busy disk.
MEMORY = "/dev/shm"  # noqa: S108 (gunicorn makes its own file there and unlinks it)
worker_tmp_dir = MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else None

timeout = 30
graceful_timeout = 10
keepalive = 5
max_requests = 10_000
max_requests_jitter = 1_000
limit_request_line = 4094
limit_request_fields = 60
limit_request_field_size = 8190

# Query strings and addresses of members are nobody's business: a request is logged by its id, by the application.
accesslog = None
errorlog = "-"
loglevel = os.environ.get("GUNICORN_LOG_LEVEL", "warning")
