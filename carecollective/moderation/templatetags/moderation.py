from typing import Any

from django import template
from django.template.context import RequestContext

from carecollective.moderation.selectors import list_notices

register = template.Library()


@register.inclusion_tag("moderation/notices.html", takes_context=True)
def staff_notices(context: RequestContext) -> dict[str, Any]:
    """Show the member what staff did about them lately, and what of it still holds."""
    return {"notices": list_notices(member=context["user"])}
