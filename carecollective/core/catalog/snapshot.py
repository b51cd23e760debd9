"""What the database must look like: a picture of a freshly migrated one, in snapshot.json beside this file.

`make db-snapshot` writes the picture. Run it after each migration and commit the file with the migration: the diff shows
what the migration changes about who may read or write. A test fails while the two differ. When a merge conflicts in the
file, take either side and run `make db-snapshot` again. Nobody edits the file by hand.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PATH = Path(__file__).with_name("snapshot.json")

# By part of the catalogue ("Policies", "Grants", …) and by name, in PostgreSQL's own words.
Facts = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class DatabaseSnapshot:
    """`ours` holds for every database. `legacy` holds where no legacy system was: elsewhere it brings these itself."""

    ours: Facts
    legacy: Facts
    legacy_tables: frozenset[str]

    @property
    def own_tables(self) -> frozenset[str]:
        """The tables and views that no legacy system has a part in."""
        return frozenset({*self.ours["Tables"], *self.ours["Views"]}) - self.legacy_tables

    @property
    def own_sequences(self) -> frozenset[str]:
        """The sequences that number the rows of our tables."""
        things = (name.rpartition(" to ")[0] for name in self.ours["Grants"])
        return frozenset(thing for thing in things if thing.endswith("_seq"))

    def expected(self, *, made_here: bool) -> Facts:
        """Return what a database must hold; `made_here` says that no legacy database was taken over."""
        if not made_here:
            return self.ours
        parts = sorted({*self.ours, *self.legacy})
        return {part: {**self.ours.get(part, {}), **self.legacy.get(part, {})} for part in parts}


@cache
def load_snapshot() -> DatabaseSnapshot:
    kept = json.loads(PATH.read_text())
    return DatabaseSnapshot(
        ours=_unfold(kept["ours"]), legacy=_unfold(kept["legacy"]), legacy_tables=frozenset(kept["legacy_tables"])
    )


def write_snapshot(snapshot: DatabaseSnapshot, path: Path = PATH) -> None:
    """Write one fact a line, sorted, so that a change is a line of a diff."""
    kept = {
        "legacy_tables": sorted(snapshot.legacy_tables),
        "ours": _fold(snapshot.ours),
        "legacy": _fold(snapshot.legacy),
    }
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def _fold(facts: Facts) -> dict[str, dict[str, str | list[str]]]:
    """Split what has several lines, such as a function's body, into a list of them."""
    return {
        part: {name: value.split("\n") if "\n" in value else value for name, value in sorted(named.items())}
        for part, named in sorted(facts.items())
    }


def _unfold(kept: Mapping[str, Mapping[str, str | list[str]]]) -> Facts:
    return {
        part: {name: "\n".join(value) if isinstance(value, list) else value for name, value in named.items()}
        for part, named in kept.items()
    }
