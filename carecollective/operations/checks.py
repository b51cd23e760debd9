"""One thing expected beside what was found."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    group: str
    name: str
    expected: str
    found: str
    ok: bool

    @property
    def what(self) -> str:
        """What was looked at, for a sentence."""
        return f"{self.group.lstrip('0123456789 ')}, {self.name}"


def compare(group: str, name: str, expected: object, found: object) -> Check:
    return Check(group, name, str(expected), str(found), expected == found)


def compare_names(
    group: str, name: str, expected: Collection[str], found: Collection[str], *, more: bool = False
) -> Check:
    """Compare two sets of names by saying what is missing and what is unknown; with `more`, unknown ones are welcome."""
    missing, unknown = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    wrong = [*(f"without {one}" for one in missing), *(f"with {one}" for one in unknown if not more)]
    return Check(group, name, _number(len(expected)), "; ".join(wrong) or _number(len(expected)), not wrong)


def _number(count: int) -> str:
    return f"all {count}" if count else "none"
