"""A finding of the preflight."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PreflightFinding:
    """Something in the legacy database that the takeover cannot handle by itself.

    `problem` is one sentence with the table, column, policy or trigger. `remedy` is one sentence: who has to do what, with the
    statement to run. With `stops`, the takeover is refused until that is done; otherwise it is only a note.
    """

    problem: str
    remedy: str
    stops: bool = True
