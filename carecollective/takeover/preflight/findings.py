"""What a check of the preflight reports."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PreflightFinding:
    """Something in the legacy database that the takeover meets.

    `problem` is one sentence that names the table, column, policy or trigger. `remedy` is one sentence that says who has
    to do what, with the statement to run where there is one. With `stops`, the takeover is refused until it is done;
    without, it goes on, and the sentence is only told.
    """

    problem: str
    remedy: str
    stops: bool = True
