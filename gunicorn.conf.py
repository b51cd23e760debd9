"""gunicorn's configuration. Address and workers come from `manage.py serve` or from gunicorn's own options."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import environ
import psutil

from carecollective import env
from carecollective.observability import metric_files
from carecollective.observability.logging import gunicorn_configuration
from carecollective.web import server_limits
from carecollective.web.server_limits import REQUEST_THREADS, RESERVED_THREADS

environ.Env.read_env(Path(__file__).with_name(".env"))

wsgi_app = "carecollective.wsgi:application"
worker_class = "carecollective.serving.gunicorn_worker.BufferingWorker"
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
threads = REQUEST_THREADS + RESERVED_THREADS
preload_app = False

# gunicorn's default is one socket per user, which two sites of the same user would fight over.
control_socket_disable = True
# The heartbeat files must not wait for a busy disk.
MEMORY = "/dev/shm"  # noqa: S108 (gunicorn makes its own file there and unlinks it)
worker_tmp_dir = MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else None

timeout = 30
graceful_timeout = 10
keepalive = server_limits.KEEP_ALIVE_SECONDS
max_requests = 10_000
max_requests_jitter = 1_000
# The worker keeps what a client does not take at once; the kernel would make a thread wait for it.
sendfile = False
worker_connections = server_limits.CONNECTIONS
limit_request_line = server_limits.REQUEST_LINE_BYTES
limit_request_fields = server_limits.HEADER_FIELDS
limit_request_field_size = server_limits.HEADER_FIELD_BYTES
# No request header sets SCRIPT_NAME or any other part of the environment.
forwarder_headers = ""
# X-Forwarded-Proto is the one header for it; others could only contradict it.
forwarded_allow_ips = env.forwarded_allow_ips(env.read("TRUSTED_PROXIES", env.NO_PROXIES, env.proxies, "proxies"))
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}

# The application writes the access log, without query strings and addresses of members.
accesslog = None
logger_class = "carecollective.serving.gunicorn_worker.ErrorLogger"
errorlog = "-"
loglevel = os.environ.get("GUNICORN_LOG_LEVEL", "warning")
logconfig_dict = gunicorn_configuration()

# The workers' counters are mapped files, added up at each scrape. They are kept in memory where possible: a full disk would kill
# each worker that writes to one (SIGBUS).
METRICS = "carecollective-metrics"
DATA_DIR = Path(__file__).parent / Path(os.environ.get("DATA_DIR") or ".data").expanduser()


def on_starting(server: Any) -> None:
    """Make an empty folder for the counters of this master, and remove those of killed masters."""
    home = Path(worker_tmp_dir or DATA_DIR)
    home.mkdir(parents=True, exist_ok=True)
    for folder in home.glob(f"{METRICS}-*"):
        if folder.stat().st_uid == os.getuid() and not psutil.pid_exists(int(folder.name.split("-")[2])):
            shutil.rmtree(folder, ignore_errors=True)
    os.environ[metric_files.FOLDER_VARIABLE] = tempfile.mkdtemp(prefix=f"{METRICS}-{os.getpid()}-", dir=home)


def on_exit(server: Any) -> None:
    shutil.rmtree(os.environ.get(metric_files.FOLDER_VARIABLE, ""), ignore_errors=True)


def worker_exit(server: Any, worker: Any) -> None:
    """Write the last events, and unregister this process from those that serve."""
    from rollout.targeting import propagation  # noqa: PLC0415 -- the worker's, and Django's, not the master's
    from rollout.telemetry import events  # noqa: PLC0415 -- the worker's, and Django's, not the master's

    propagation.leave()
    events.flush(2.0)


def child_exit(server: Any, worker: Any) -> None:
    """Remove the dead worker's gauges, and keep its counters."""
    try:
        metric_files.fold_ended(worker.pid)
    except Exception:
        # The master must not end: it has other workers.
        server.log.exception("The counters of worker %s are lost", worker.pid)
