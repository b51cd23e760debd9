"""Whatever is broken in the catalogue is reported, and the remedy that is shown with it puts it right."""

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from math import ceil
from typing import Any

import psycopg
import pytest
from django.conf import settings

from carecollective.core.catalog.comparison import Difference, find_catalog_differences, owning_table
from carecollective.core.catalog.reader import LiveCatalog, read_live_catalog
from carecollective.core.catalog.snapshot import DatabaseSnapshot, load_snapshot
from carecollective.operations.verification.remedies import find_remedy, write_repair
from tests import databases
from tests.faults.scale import FULL
from tests.migrations.legacy import prepare_taken_over_template
from tests.operations.catalog_mutants import walk
from tests.operations.mutant import CatalogMutant

FEWEST = {"empty": 5000, "taken_over": 400}
# Some remedies bring to light what they hid: whoever follows them looks again.
ROUNDS = 3


@pytest.fixture(scope="module")
def sessions(template_database: str) -> Iterator[dict[str, "psycopg.Connection[Any]"]]:
    """Connections of the superuser's to a database that was born empty and to one that was taken over."""
    templates = {"empty": template_database, "taken_over": prepare_taken_over_template(settings.DATA_DIR)}
    names = {birth: f"test_{os.getpid()}_mutants_{birth}" for birth in templates}
    for birth, template in templates.items():
        databases.recreate(settings.DATA_DIR, names[birth], template)
    with ExitStack() as opened:
        try:
            yield {birth: opened.enter_context(_superuser(name)) for birth, name in names.items()}
        finally:
            for name in names.values():
                databases.drop(settings.DATA_DIR, name)


def _superuser(database: str) -> "psycopg.Connection[Any]":
    superuser = psycopg.connect(databases.superuser_url(settings.DATA_DIR, database), autocommit=True)
    # Many things are broken at once here: a body that comes back may meet a table that is still not as it was.
    superuser.execute("SET check_function_bodies = off")
    return superuser


@pytest.mark.parametrize("birth", ["empty", "taken_over"])
def test_every_mutant_is_caught_and_every_remedy_cures_it(sessions: Any, birth: str) -> None:
    session, snapshot = sessions[birth], load_snapshot()
    # pg_database_owner takes no members.
    predefined = session.execute(
        r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'pg\_%' AND rolname <> 'pg_database_owner'"
    )
    mutants = [
        mutant
        for mutant in walk(snapshot, session.info.dbname, [name for (name,) in predefined])
        # Where there was a legacy system, that V1 is still as we made it is what differs.
        if birth == "empty" or (mutant.fact in snapshot.ours.get(mutant.part, ()) and is_about_legacy(mutant, snapshot))
    ]
    assert len(mutants) >= FEWEST[birth]
    assert len({mutant.breaks for mutant in mutants}) == len(mutants)
    uncaught: list[str] = []
    uncured: list[str] = []
    for batch in dealt([*in_batches(mutants)]):
        with session.transaction(force_rollback=True):
            for mutant in batch:
                session.execute(mutant.statements.encode())
            live, found = look(session)
            seen = {(difference.part, difference.name) for difference in found}
            uncaught += [mutant.breaks for mutant in batch if (mutant.part, mutant.fact) not in seen]
            uncured += [f"{one.part} {one.name}" for one in cure(session, live, found)]
    assert uncaught == []
    assert uncured == []


@pytest.mark.parametrize("birth", ["empty", "taken_over"])
def test_nothing_is_reported_when_nothing_is_broken(sessions: Any, birth: str) -> None:
    assert look(sessions[birth])[1] == []


def dealt(batches: Sequence[Sequence[CatalogMutant]]) -> Sequence[Sequence[CatalogMutant]]:
    """Return a third of the batches, another in every run; with `make faults` all."""
    return batches if FULL else random.sample(batches, ceil(len(batches) / 3))


def is_about_legacy(mutant: CatalogMutant, snapshot: DatabaseSnapshot) -> bool:
    table = mutant.fact.rpartition(" to ")[0] if mutant.part == "Grants" else owning_table(mutant.fact) or mutant.fact
    return table in snapshot.legacy_tables


def in_batches(mutants: Iterable[CatalogMutant]) -> Iterator[Sequence[CatalogMutant]]:
    """Put mutants of different facts together, so that one look tells of many."""
    companies: dict[str, list[CatalogMutant]] = {}
    for mutant in mutants:
        if mutant.alone:
            yield [mutant]
        else:
            companies.setdefault(mutant.company, []).append(mutant)
    for company in companies.values():
        waiting = company
        while waiting:
            batch = {mutant.fact: mutant for mutant in reversed(waiting)}
            yield list(batch.values())
            waiting = [mutant for mutant in waiting if batch[mutant.fact] is not mutant]


def look(session: "psycopg.Connection[Any]") -> tuple[LiveCatalog, Sequence[Difference]]:
    with session.transaction():
        live = read_live_catalog(session.cursor())
    return live, list(find_catalog_differences(live))


def cure(session: "psycopg.Connection[Any]", live: LiveCatalog, found: Sequence[Difference]) -> Sequence[Difference]:
    """Do what the remedies say, and return what still differs."""
    for _round in range(ROUNDS):
        for difference in found:
            assert find_remedy(difference, live)
            session.execute(write_repair(difference, live).encode())
        live, found = look(session)
        # Who added a column has to be asked first.
        found = [difference for difference in found if difference.part != "Columns" or difference.expected]
        if not found:
            break
    return found
