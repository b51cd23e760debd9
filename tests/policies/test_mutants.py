"""The probes are worth something: every break in the policies, one at a time, is noticed by at least one of them."""

import psycopg
import pytest
from django.conf import settings

from tests import databases
from tests.policies.mutants import MUTANTS, Mutant, catch
from tests.policies.probes import PROBES


@pytest.mark.parametrize("mutant", [pytest.param(mutant, id=mutant.breaks) for mutant in MUTANTS])
def test_it_is_noticed_when(worlds: dict[str, str], mutant: Mutant) -> None:
    with _superuser(worlds) as connection:
        assert next(catch(connection, mutant, PROBES), None) is not None


def test_nothing_is_noticed_when_nothing_is_broken(worlds: dict[str, str]) -> None:
    with _superuser(worlds) as connection:
        assert list(catch(connection, None, PROBES)) == []


def _superuser(worlds: dict[str, str]) -> "psycopg.Connection[object]":
    url = databases.superuser_url(settings.DATA_DIR, worlds["taken over"])
    return psycopg.connect(url, autocommit=True, prepare_threshold=None)
