"""gunicorn for the peers that run under it: as many threads as the site has."""

threads = 10
timeout = 0  # nothing ends a worker in another peer's round
loglevel = "warning"
control_socket_disable = True
