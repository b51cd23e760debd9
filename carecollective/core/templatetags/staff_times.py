"""How the staff pages show times: `{% staff_time at %}`, and `{{ words|mark_times }}` for sentences that name one."""

from datetime import datetime

from django import template
from django.utils.safestring import SafeString

from carecollective.core import moments

register = template.Library()


@register.simple_tag
def staff_time(at: datetime | None, to: moments.Unit = "second") -> SafeString:
    """Show a moment in UTC; the page's script adds the reader's own time."""
    return moments.as_time(at, to)


@register.filter
def mark_times(words: object) -> SafeString:
    """Mark each moment in a sentence, for the page's script to add the reader's own time."""
    return moments.mark_times(str(words))


@register.filter
def ago(at: datetime, now: datetime) -> str:
    """Say how long before `now` a moment was."""
    return moments.ago(at, now=now)


@register.filter
def lasting(since: datetime, now: datetime) -> str:
    """Say for how long something has lasted at `now`."""
    return moments.lasting(since, now=now)
