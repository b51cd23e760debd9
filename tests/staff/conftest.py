from tests.pages.conftest import legacy_conversation, queries
from tests.rollout.dashboard.conftest import alert

__all__ = ["alert", "legacy_conversation", "queries"]
