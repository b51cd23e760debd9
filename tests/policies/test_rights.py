"""The web role holds the rights that the site uses, and no others."""

from typing import Any

import psycopg
import pytest
from django.conf import settings

from tests import databases
from tests.policies.flows import FLOWS
from tests.policies.rights import Recording, Right, granted, unused

# Held, and needed by no statement of ours. Each says by what.
LEGACY_TRIGGER = "the legacy trigger writes it, as whoever sends"
LEGACY_DATABASE = "asked only where a legacy database stands"
WAFFLE = "waffle's own code asks for them"
COUNTED = "core_count_use, as whoever counts"
REASONS: dict[Right, str] = {
    Right("UPDATE", "conversations", "last_message_at"): LEGACY_TRIGGER,
    Right("UPDATE", "conversations", "updated_at"): LEGACY_TRIGGER,
    Right("INSERT", "core_clientratelimithit", "action"): COUNTED,
    Right("INSERT", "core_clientratelimithit", "client"): COUNTED,
    Right("INSERT", "core_ratelimithit"): COUNTED,
    Right("SELECT", "core_clientratelimithit", "action"): COUNTED,
    Right("SELECT", "core_clientratelimithit", "client"): COUNTED,
    Right("INSERT", "messaging_preferences"): "the legacy trigger adds it, as whoever joins",
    Right("SELECT", "adoption_takeover"): LEGACY_DATABASE,
    Right("SELECT", "django_migrations"): "verify_messaging lists what is not applied",
    Right("SELECT", "rollout_flag_groups"): WAFFLE,
    Right("SELECT", "rollout_flag_users"): WAFFLE,
}


GIVEN_BY_MISTAKE = """
GRANT TRUNCATE, UPDATE (title) ON help_requests TO carecollective_web;
GRANT EXECUTE ON FUNCTION public.privacy_scrub_member(uuid) TO carecollective_web;
"""


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Every statement that the flows make, with values to plan it with."""
    recording = Recording()
    for flow in FLOWS:
        flow(recording, request)
    return recording.statements


def test_no_right_is_held_that_the_site_never_uses(worlds: dict[str, str], recorded: dict[str, Any]) -> None:
    url = databases.superuser_url(settings.DATA_DIR, worlds["born empty"])
    with psycopg.connect(url, prepare_threshold=None) as superuser:
        held = granted(superuser)
        found = unused(superuser, recorded, held)
        never = [str(right) for right in found if right not in REASONS]
        assert never == [], "Take these rights away, or let a flow in tests/policies/flows.py use them."
        assert [str(right) for right in REASONS if right not in found] == [], "These are used, or not held any more."

        superuser.execute(GIVEN_BY_MISTAKE)
        more = {right: revoke for right, revoke in granted(superuser).items() if right not in held}
        assert unused(superuser, recorded, more) == [
            Right("EXECUTE", "privacy_scrub_member"),
            Right("TRUNCATE", "help_requests"),
            Right("UPDATE", "help_requests", "title"),
        ]
        superuser.rollback()
