"""Let time pass without waiting: everything that was stored happened that much earlier."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

MOMENTS = {
    "conversations_v2": ("created_at", "updated_at"),
    "messages_v2": ("created_at", "updated_at"),
    "conversations": ("created_at", "updated_at", "last_message_at"),
    "messages": ("created_at",),
    "help_requests": ("created_at", "updated_at", "expires_at"),
    "help_requests_statuschange": ("at", "mailed_at"),
    "inbox_notification": ("created_at", "settled_at"),
    "inbox_readpointer": ("read_to",),
    "inbox_conversationmail": ("mailed_at", "told_to"),
    "mail_outgoingmail": ("created_at", "next_try_at", "settled_at"),
}


@pytest.fixture
def wait(beyond_policies: Any) -> Callable[..., None]:
    """Let time pass: `wait(minutes=6)`."""

    def make(**span: float) -> None:
        with beyond_policies() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for table, columns in MOMENTS.items():
                changes = ", ".join(f"{column} = {column} - %(span)s" for column in columns)
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
                cursor.execute(f"UPDATE {table} SET {changes}", {"span": timedelta(**span)})
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")

    return make
