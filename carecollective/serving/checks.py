from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, register
from django.db import DEFAULT_DB_ALIAS

from carecollective.serving.startup_checks import find_dangers


@register(Tags.database)
def check_that_policies_hold(*, databases: Sequence[str] | None = None, **kwargs: Any) -> list[Error]:
    """Report every way around the policies. The owner's commands are let be: making the policies is their work."""
    if DEFAULT_DB_ALIAS not in (databases or ()) or settings.DATABASE_ROLE != "web":
        return []
    return [Error(danger.sentence, id=danger.id) for danger in find_dangers()]
