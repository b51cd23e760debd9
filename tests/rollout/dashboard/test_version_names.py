"""In texts for staff the two versions are always called V1 and V2."""

import re
from pathlib import Path

import pytest
from django.conf import settings

OTHER_NAMES = re.compile(r"(new|old|former|legacy)\s+messaging", re.IGNORECASE)
# What staff read is written there: pages, commands, alerts, health, and how they are operated.
PLACES = ("templates/admin", "static/admin-rollout", "rollout", "carecollective/operations", "docs/operations")
KINDS = (".html", ".js", ".py", ".md", ".yml", ".json")


@pytest.mark.parametrize("place", PLACES)
def test_staff_read_one_name_for_each_version(place: str) -> None:
    root = Path(settings.BASE_DIR)
    files = [one for one in (root / place).rglob("*") if one.suffix in KINDS and "migrations" not in one.parts]
    assert files
    found = {
        f"{path.relative_to(root)}: {match[0]}" for path in files for match in OTHER_NAMES.finditer(path.read_text())
    }
    assert found == set()
