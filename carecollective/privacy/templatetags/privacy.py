from typing import Any

from django import template
from django.conf import settings
from django.template.context import RequestContext

from carecollective.privacy.exports import newest_export
from carecollective.privacy.forms import ErasureForm

register = template.Library()


@register.inclusion_tag("privacy/your_data.html", takes_context=True)
def your_data(context: RequestContext) -> dict[str, Any]:
    """Show the member's export with its progress, and the form to leave for good."""
    return {
        "export": newest_export(member=context["user"]),
        "form": ErasureForm.of(context["user"]),
        "user": context["user"],
        "days": settings.EXPORTS_KEPT_DAYS,
        "csrf_token": context.get("csrf_token"),
    }
