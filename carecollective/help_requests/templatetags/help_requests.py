"""The cards of the list of requests, in Python: a page has twenty, and each cost fifty nodes of a template.

What a member or the legacy system wrote goes through `escape`. Django's function of that name calls this one for plain text.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from html import escape

from django import template
from django.db.models import TextChoices
from django.utils.safestring import SafeString

from carecollective.accounts.models import User
from carecollective.core.addresses import address_with_id
from carecollective.core.templatetags.member_times import time_element
from carecollective.core.text import excerpt
from carecollective.help_requests.models import Category, HelpRequest, RequestStatus, Urgency

register = template.Library()

EXCERPT_LENGTH = 160


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
def request_cards(requests: Sequence[HelpRequest], reader: User | None) -> SafeString:
    """Return the requests of a list as cards. Each names its owner, and from where."""
    return SafeString("\n".join(_card(request, reader) for request in requests))


def _card(request: HelpRequest, reader: User | None) -> str:
    urgency = f" urgency-{escape(str(request.urgency))}" if request.is_available else ""
    words = (
        f'<p class="excerpt">{escape(excerpt(request.description, EXCERPT_LENGTH))}</p>' if request.description else ""
    )
    return f"""<li class="card{urgency}">
            <h3><a href="{address_with_id("request-detail", request.pk)}">{escape(request.title)}</a></h3>
            {words}
            <p class="tags">
              {request_tags(request)}
            </p>
            <p class="byline">
              {_owner(request, reader)}
              · {time_element(request.created_at, "age")}
            </p>
          </li>"""


def _owner(request: HelpRequest, reader: User | None) -> str:
    if reader is not None and request.user_id == reader.pk:
        return "You"
    owner = request.user
    place = f", {escape(owner.location)}" if owner.location else ""
    return f"{escape(owner.get_short_name())}{place}"


def _tag(kind: str, label: str) -> str:
    return f'<span class="tag{escape(kind)}">{escape(label)}</span>'


def _label(choices: type[TextChoices], value: str) -> str:
    return _labels(choices).get(value, value)


@cache
def _labels(choices: type[TextChoices]) -> Mapping[str, str]:
    return {value: str(label) for value, label in choices.choices}
