"""The report after a rollback: which processes have switched, the drain certificate, and what is unfinished."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from django.db import DatabaseError

from rollout.dashboard.schema import Drain
from rollout.dashboard.status import latest_drain
from rollout.models import Change
from rollout.promotion import rollbacks
from rollout.targeting import propagation
from rollout.targeting.propagation import Switch

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RollbackReport:
    """What could be read; V2 is off in any case. `unfinished` is empty when all is done."""

    switch: Switch | None
    drain: Drain | None
    unfinished: str

    @property
    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield each part with its heading."""
        if self.unfinished:
            yield "Unfinished", self.unfinished
        if self.switch:
            yield "Processes", self.switch.words
        if self.drain:
            yield "Drain", self.drain.words


def read_report(change: Change) -> RollbackReport:
    """Read the report. What cannot be read is left out: the rollback itself is in force."""
    unfinished = _try(rollbacks.describe_unfinished)
    if unfinished is None:
        unfinished = "V2 is off. The record could not be read; look at it again in a minute."
    return RollbackReport(
        switch=_try(lambda: propagation.wait_for_switch(version=change.flag_version)),
        drain=_try(latest_drain),
        unfinished=unfinished,
    )


def _try(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except DatabaseError as problem:
        logger.warning("A part of a rollback's report could not be read (%s).", type(problem).__name__)
        return None
