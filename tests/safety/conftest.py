from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from carecollective.inbox.services import offer_help
from tests.messaging.conftest import groceries, helper, legacy_conversation, outsider, owner, rows_of

__all__ = ["groceries", "helper", "legacy_conversation", "outsider", "owner", "rows_of"]

VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])


@pytest.fixture
def talk(helper: Any, groceries: Any, stage: Callable[..., None]) -> Callable[[str], UUID]:
    """Open a conversation of a version between Henry and Olga, about her groceries; both versions are on."""

    def open_one(version: str, **given: Any) -> UUID:
        stage("enabled" if version == "v2" else "disabled", v1_writes=True)
        offer = {"actor": helper, "help_request_id": groceries.pk, "initial_message": "Hello, I can bring them."}
        return offer_help(**(offer | given)).conversation_id

    return open_one
