"""The legacy functions, triggers and policies that run when our roles write, and their changes since the takeover."""

from collections.abc import Iterator

from carecollective.core.catalog.comparison import EVERYBODY, Difference, owning_table, roles_of
from carecollective.core.catalog.reader import LiveCatalog
from carecollective.core.catalog.snapshot import DatabaseSnapshot, Facts


def pick_legacy_code(snapshot: DatabaseSnapshot, live: LiveCatalog) -> Facts:
    """Return the legacy functions, the triggers on shared tables, and the policies for everybody.

    All functions count, because it is unknown which ones a function calls.
    """
    ours = snapshot.expected(made_here=live.made_here)
    theirs = {
        part: {name: value for name, value in live.facts.get(part, {}).items() if name not in ours.get(part, {})}
        for part in ("Functions", "Policies", "Triggers")
    }
    return {
        "Functions": theirs["Functions"],
        "Policies": {
            name: value
            for name, value in theirs["Policies"].items()
            if owning_table(name) in snapshot.legacy_tables and EVERYBODY in roles_of(value)
        },
        "Triggers": {
            name: value for name, value in theirs["Triggers"].items() if owning_table(name) not in snapshot.own_tables
        },
    }


def find_changes(recorded: Facts, found: Facts) -> Iterator[Difference]:
    """Yield the changes since the takeover. A new function alone is none: something must call it first."""
    for part in sorted({*recorded, *found}):
        then, now = recorded.get(part, {}), found.get(part, {})
        for name in sorted({*then, *now}):
            is_new_function = part == "Functions" and name not in then
            if then.get(name) != now.get(name) and not is_new_function:
                yield Difference(part, name, then.get(name), now.get(name), stops_start=False)
