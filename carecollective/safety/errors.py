"""Why a member may not write now."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from carecollective.core.errors import InvalidInput, NotPermitted, RateLimitExceeded

TRY_AGAIN_SECONDS = 3600


class OneselfBlocked(InvalidInput):
    message = _("You cannot block yourself.")


class Restricted(NotPermitted):
    """Staff do not let the member do this until a date."""

    def __init__(self, sentence: Any, until: datetime) -> None:
        day = date_format(timezone.localtime(until), "j F Y")
        super().__init__(sentence % {"day": day})


class DailyLimitReached(RateLimitExceeded):
    """Staff limit how much the member writes a day, and that much is written."""

    def __init__(self, limit: int) -> None:
        sentence = _(
            "For now you can send %(limit)d messages a day, and those of today are sent. Please go on tomorrow."
        )
        super().__init__(sentence % {"limit": limit}, retry_after=TRY_AGAIN_SECONDS)
