"""The parts of a database, one line each, for manifests. Any role may read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from carecollective.core.catalog.reader import Executes


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One part of a table or of the schema. `sound`: valid, enabled or validated. Manifests hold these field names."""

    kind: str
    table: str
    name: str
    words: str
    sound: bool


_PARTS = Path(__file__).with_name("parts.sql").read_text()


def read_parts(cursor: Executes) -> Sequence[Part]:
    """Return every function, and the parts of every table."""
    cursor.execute(_PARTS)
    return sorted(Part(*row) for row in cursor.fetchall())
