"""gunicorn for the peers that run under it: one process with threads, as the site has it."""

workers = 1
threads = 4
timeout = 0  # nothing ends a worker in another peer's round
loglevel = "warning"
control_socket_disable = True
