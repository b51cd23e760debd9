"""The snapshot of a freshly migrated database, in snapshot.json beside this file.

`make db-snapshot` writes it. Run it after each migration and commit the file with the migration: the diff shows what the
migration changes about access. A test fails while the two differ. After a merge conflict in the file, take either side and run
`make db-snapshot` again. Nobody edits the file by hand.
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
    """`ours` applies to every database. `legacy` applies without a takeover; otherwise the legacy system brings its own."""

    ours: Facts
    legacy: Facts
    legacy_tables: frozenset[str]

    @property
    def own_tables(self) -> frozenset[str]:
        """The tables and views that are not the legacy system's."""
        return frozenset({*self.ours["Tables"], *self.ours["Views"]}) - self.legacy_tables

    @property
    def own_sequences(self) -> frozenset[str]:
        """The sequences of our tables."""
        things = (name.rpartition(" to ")[0] for name in self.ours["Grants"])
        return frozenset(thing for thing in things if thing.endswith("_seq"))

    def expected(self, *, made_here: bool) -> Facts:
        """Return what a database must have. `made_here`: no legacy database was taken over."""
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
    """Split values with several lines, such as a function's body, into lists of lines."""
    return {
        part: {name: value.split("\n") if "\n" in value else value for name, value in sorted(named.items())}
        for part, named in sorted(facts.items())
    }


def _unfold(kept: Mapping[str, Mapping[str, str | list[str]]]) -> Facts:
    return {
        part: {name: "\n".join(value) if isinstance(value, list) else value for name, value in named.items()}
        for part, named in kept.items()
    }
