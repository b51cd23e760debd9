"""Connections beside Django's own, for threads that must not share a request's transaction."""

from typing import Any

from carecollective.core.database import direct_connection


def connection_parameters(*, application_name: str) -> dict[str, Any]:
    """Return what `BoundedConnection.connect` needs to reach this process's database in its role, past any pooler."""
    parameters = direct_connection().get_connection_params()
    # Django's own row and adapter types are of no use to a plain connection.
    for name in ("context", "cursor_factory", "prepare_threshold"):
        parameters.pop(name, None)
    return {**parameters, "application_name": application_name}
