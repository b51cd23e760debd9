"""Parts of a help request in a list, which has twenty."""

from collections.abc import Mapping
from functools import cache
from html import escape

from django import template
from django.db.models import TextChoices
from django.utils.safestring import SafeString

from carecollective.accounts.models import User
from carecollective.help_requests.models import Category, HelpRequest, RequestStatus, Urgency

register = template.Library()


@register.simple_tag
def request_tags(request: HelpRequest) -> SafeString:
    """Return what kind of help, how soon and in which state, where each says something. Unknown legacy values as they are."""
    tags = []
    if request.category:
        tags.append(_tag("", _label(Category, request.category)))
    if request.urgency and request.urgency != Urgency.NORMAL and request.is_available:
        tags.append(_tag(f" {request.urgency}", _label(Urgency, request.urgency)))
    if request.status and request.status != RequestStatus.OPEN:
        tags.append(_tag(" status", _label(RequestStatus, request.status)))
    return SafeString("\n".join(tags))


@register.simple_tag
def request_owner(request: HelpRequest, reader: User | None) -> SafeString:
    """Return who asked, and from where, as a list shows it."""
    if reader is not None and request.user_id == reader.pk:
        return SafeString("You")
    owner = request.user
    place = f", {escape(owner.location)}" if owner.location else ""
    return SafeString(f"{escape(owner.get_short_name())}{place}")


def _tag(kind: str, label: str) -> str:
    return f'<span class="tag{escape(kind)}">{escape(label)}</span>'


def _label(choices: type[TextChoices], value: str) -> str:
    return _labels(choices).get(value, value)


@cache
def _labels(choices: type[TextChoices]) -> Mapping[str, str]:
    return {value: str(label) for value, label in choices.choices}
