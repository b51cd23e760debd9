"""Breaks, one at a time, each fact of the catalogue that decides who may read or write. Made by walking the snapshot."""

from collections.abc import Collection, Iterator

from carecollective.core.catalog.snapshot import DatabaseSnapshot
from tests.operations import mutants_of_new_things, mutants_of_rights, mutants_of_server, mutants_of_tables
from tests.operations.mutant import CatalogMutant


def walk(snapshot: DatabaseSnapshot, database: str, predefined_roles: Collection[str]) -> Iterator[CatalogMutant]:
    """Yield everything to break in a database that was born empty, on a server with these predefined roles."""
    facts = snapshot.expected(made_here=True)
    yield from mutants_of_tables.walk(facts, snapshot)
    yield from mutants_of_rights.walk(facts, snapshot, database)
    yield from mutants_of_new_things.walk(snapshot)
    yield from mutants_of_server.walk(facts, database, predefined_roles)
