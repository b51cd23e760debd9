"""Django's `{% csrf_token %}`, made once for a page. A thread has five forms."""

from django import template
from django.template.base import Parser, Token
from django.template.context import Context
from django.template.defaulttags import CsrfTokenNode
from django.utils.safestring import SafeString

register = template.Library()

_KEPT_AS = "csrf_field"


@register.tag
def csrf_token(parser: Parser, token: Token) -> "KeptField":
    return KeptField()


class KeptField(CsrfTokenNode):
    """The field, kept in the first of the context's dictionaries: the page's forms share that one, and no other page does."""

    def render(self, context: Context) -> SafeString:
        kept = context.dicts[0]
        if _KEPT_AS not in kept:
            kept[_KEPT_AS] = super().render(context)
        return kept[_KEPT_AS]
