"""One check: what was expected and what was found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """If it failed, `remedy` says who has to do what, and `stops_start` whether the site refuses to start until then."""

    group: str
    name: str
    expected: str
    found: str
    ok: bool
    remedy: str = ""
    stops_start: bool = True

    @property
    def what(self) -> str:
        """What was checked, for a sentence."""
        return f"{self.group.lstrip('0123456789 ')}, {self.name}"


def compare(group: str, name: str, expected: object, found: object, remedy: str = "") -> Check:
    ok = expected == found
    return Check(group, name, str(expected), str(found), ok, "" if ok else remedy)
