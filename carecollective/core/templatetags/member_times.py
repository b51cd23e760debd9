"""How members' pages show times and long texts: `{% time at %}`, and `{{ text|excerpt:160 }}`.

The page's script puts times in the reader's own time.
"""

from datetime import UTC, datetime
from typing import Literal

from django import template
from django.utils.safestring import SafeString

from carecollective.core.text import excerpt
from carecollective.formats.moments import moment

register = template.Library()
register.filter(excerpt)


@register.simple_tag(name="time")
def time_element(at: datetime | None, form: Literal["full", "age"] = "full") -> SafeString:
    """Return the time as an HTML element; the script writes an `age` as "2 hours ago". Legacy rows may have no time."""
    if not at:
        return SafeString("no date")
    at = at.astimezone(UTC)
    # A page of messages has fifty: nothing in it needs to be escaped.
    return SafeString(f'<time datetime="{at.isoformat()}" data-format="{form}">{moment(at)}</time>')
