"""How members' pages show times: `{% time at %}`. The page's script puts them in the reader's own time."""

from datetime import UTC, datetime
from typing import Literal

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString

from carecollective.formats.moments import date_of

register = template.Library()


@register.simple_tag
def rendered_at() -> str:
    """Return the time of this moment, for the page's script. Django's `{% now %}` takes ten times as long."""
    return timezone.now().isoformat()


@register.simple_tag(name="time")
def time_element(at: datetime | None, form: Literal["full", "age"] = "full") -> SafeString:
    """Return the time as an HTML element; the script writes an `age` as "2 hours ago". Legacy rows may have no time."""
    if not at:
        return SafeString("no date")
    at = at.astimezone(UTC)
    iso = at.isoformat()
    # A page of messages has fifty: nothing in it needs to be escaped, and `moment` would write the clock anew.
    return SafeString(f'<time datetime="{iso}" data-format="{form}">{date_of(iso[:10])}, {iso[11:16]} UTC</time>')
