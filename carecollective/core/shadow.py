"""Shadow comparison: what a statement by hand answered is asked of the ORM too, for a share of calls, and a difference is logged.

It is off unless `SHADOW_COMPARISON` says for how many in a hundred. Members wait for the second query, and see nothing of it.
"""

import logging
import random
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction

logger = logging.getLogger(__name__)


def compare(statement: str, found: Any, by_orm: Callable[[], Any]) -> None:
    """Compare what a statement found with what `by_orm` finds in the same transaction.

    The log names the statement alone, never a value. Nothing is raised.
    """
    if not settings.SHADOW_COMPARISON or random.random() * 100 >= settings.SHADOW_COMPARISON:  # noqa: S311 -- a sample
        return
    try:
        with transaction.atomic():
            is_same = by_orm() == found
    except Exception:
        logger.exception("The shadow comparison of the statement %s failed.", statement)
        return
    if not is_same:
        logger.error("The statement %s by hand answers otherwise than the ORM.", statement)
