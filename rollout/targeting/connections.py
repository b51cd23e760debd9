"""Connections beside Django's own, for threads that must not share a request's transaction."""

from typing import Any

from carecollective.core.database import direct_connection


def connection_parameters(*, application_name: str) -> dict[str, Any]:
    """Return the parameters of a direct connection to this process's database, past any pooler."""
    parameters = direct_connection().get_connection_params()
    # A plain psycopg connection cannot use Django's row and adapter types.
    for name in ("context", "cursor_factory", "prepare_threshold"):
        parameters.pop(name, None)
    return {**parameters, "application_name": application_name}
