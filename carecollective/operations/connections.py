"""Connections of the operations' commands, each with the database role that it needs."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from carecollective.operations.errors import OperationError
from carecollective.postgres.bounded import BoundedConnection
from carecollective.postgres.dsn import NETWORK_LIMITS, ROLE_NAMES, build_url, parse_url, why_unreachable
from carecollective.settings import role_url

Session = psycopg.Connection[Any]
OPERATIONS = ROLE_NAMES["ops"]


def url_of(role: str) -> str:
    """Return a role's URL for the database that this process is configured for."""
    return with_database(role_url(role), str(connection.settings_dict["NAME"]))


def with_database(url: str, database: str) -> str:
    return build_url({**parse_url(url), "dbname": database})


@contextmanager
def connected(url: str, *, autocommit: bool = False, answer_seconds: float = math.inf) -> Iterator[Session]:
    """Hold a connection for the block; no answer on it may take longer than `answer_seconds`.

    Raises OperationError with the server's reason if it cannot connect.
    """
    try:
        parameters = {**NETWORK_LIMITS, **parse_url(url), "application_name": "carecollective-operations"}
        session = BoundedConnection.connect(build_url(parameters), autocommit=autocommit)
    except psycopg.OperationalError as problem:
        raise OperationError(why_unreachable(problem)) from None
    session.answer_seconds = answer_seconds
    with session:
        yield session
