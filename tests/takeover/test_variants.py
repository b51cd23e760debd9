"""Each variant of the legacy database ends in a working site, or in a refusal that names the cause and changes nothing."""

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, connections

from carecollective.postgres.dsn import connection_url, database_settings
from carecollective.takeover import proof
from carecollective.takeover.management.commands import adopt_legacy
from tests.faults.scale import FULL
from tests.takeover.variants import VARIANTS, Variant

CHOSEN = [variant for variant in VARIANTS if FULL or variant.quick]
WAS_IT_CHANGED = "SELECT count(*) FROM pg_tables WHERE tablename = 'django_migrations'"


@pytest.fixture
def take_over(
    make_database: Callable[..., str],
    legacy_template: str,
    monkeypatch: Any,
    django_db_setup: None,
    django_db_blocker: Any,
) -> Iterator[Callable[[Variant], str]]:
    """Return a function that makes the variant and runs the command on it, here; and leaves the connection the owner's."""
    name = make_database("variant", template=legacy_template)
    monkeypatch.setattr(proof, "role_url", lambda role: connection_url(settings.DATA_DIR, role, name))
    owner = database_settings(connection_url(settings.DATA_DIR, "owner", name))
    before = dict(connection.settings_dict)
    options = {key: value for key, value in before["OPTIONS"].items() if key != "options"}
    connection.close()
    connection.settings_dict.update(NAME=name, USER=owner["USER"], PASSWORD=owner["PASSWORD"], OPTIONS=options)

    def run(variant: Variant) -> str:
        with connection.cursor() as cursor:
            cursor.execute(variant.statements)
        said = StringIO()
        call_command(adopt_legacy.Command(), stdout=said, stderr=said)
        return said.getvalue()

    with django_db_blocker.unblock():
        yield run
        connections.close_all()
    connection.settings_dict.update(before)


@pytest.mark.parametrize("variant", CHOSEN, ids=[variant.name for variant in CHOSEN])
def test_it_works_or_is_refused(take_over: Callable[[Variant], str], variant: Variant) -> None:
    if not variant.refused:
        assert "The site works" in take_over(variant)
        return
    with pytest.raises(CommandError) as refused:
        take_over(variant)
    assert str(refused.value).startswith("Nothing was changed.")
    assert variant.refused in str(refused.value)
    with connection.cursor() as cursor:
        cursor.execute(WAS_IT_CHANGED)
        assert cursor.fetchone() == (0,)


def test_there_are_enough_of_them() -> None:
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS) >= 25
    assert 5 < len([variant for variant in VARIANTS if variant.refused]) < len(VARIANTS) / 2
