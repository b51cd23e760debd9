from typing import Any

from django import template
from django.template.context import RequestContext

from carecollective.safety.selectors import list_blocked

register = template.Library()


@register.inclusion_tag("safety/blocked.html", takes_context=True)
def blocked_members(context: RequestContext) -> dict[str, Any]:
    """Show whom the member has blocked, with a button to end each block."""
    return {"blocked": list_blocked(member=context["user"]), "csrf_token": context.get("csrf_token")}
