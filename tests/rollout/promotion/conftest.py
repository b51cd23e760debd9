import pytest
from django.db import connection
from django.utils import timezone

from carecollective.accounts.models import User
from rollout.alerts.notifications import ChannelState
from rollout.promotion import automated_checks, checklist, sign_offs
from rollout.promotion.automated_checks import passed


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests' own superuser session and its missing backup would spoil is in order; nobody else judges the schema."""
    monkeypatch.setattr(automated_checks, "find_dangers", lambda: iter(()))
    found = passed("The newest backup is 2.0 hours old and was restored to try it.")
    items = [
        item if item.name != "backup" else sign_offs.Item(item.name, item.title, lambda: found)
        for item in checklist.ITEMS
    ]
    monkeypatch.setattr(checklist, "ITEMS", tuple(items))
    now = timezone.now()
    told = ChannelState("email", True, now, now, None, "", 0)
    monkeypatch.setattr(automated_checks, "channel_states", lambda: (told,))


@pytest.fixture
def signed(ben: User, amina: User) -> None:
    """People have signed for everything that people are asked about."""
    for item in ("unit_tests", "e2e_tests", "rollback_plan"):
        sign_offs.sign(actor=ben, item=item)
    sign_offs.sign(actor=ben, item="stakeholders", part=sign_offs.ENGINEERING)
    sign_offs.sign(actor=amina, item="stakeholders", part=sign_offs.PRODUCT)


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])
