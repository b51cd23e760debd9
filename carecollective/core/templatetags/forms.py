"""What forms are made of: `{% field form.name %}`, and Django's `{% csrf_token %}`, made once for a page."""

from typing import Any

from django import template
from django.forms import BoundField
from django.template.base import Parser, Token
from django.template.context import Context
from django.template.defaulttags import CsrfTokenNode
from django.template.loader import get_template
from django.utils.safestring import SafeString

register = template.Library()

_KEPT_AS = "csrf_field"


@register.tag
def csrf_token(parser: Parser, token: Token) -> "CsrfField":
    return CsrfField()


class CsrfField(CsrfTokenNode):
    """The field with the CSRF token, kept in the first of the context's dictionaries: the forms of one page share it.

    A thread has five forms.
    """

    def render(self, context: Context) -> SafeString:
        kept = context.dicts[0]
        if _KEPT_AS not in kept:
            kept[_KEPT_AS] = super().render(context)
        written: SafeString = kept[_KEPT_AS]
        return written


_MOST_KEPT = 200
_empty_fields: dict[tuple[Any, ...], str] = {}


@register.simple_tag
def field(bound: BoundField, *, unmarked: bool = False) -> SafeString:
    """Return a field of a form with its label, hint and errors; `unmarked` does not say that it is optional.

    One that nobody has filled in is the same on each page, and is written once: it took a tenth of a thread's page. All that it
    shows is part of its key.
    """
    form, asked = bound.form, bound.field
    if form.is_bound or bound.errors or hasattr(asked, "choices") or bound.value() not in (None, ""):
        return _written(bound, unmarked=unmarked)
    words = (bound.label, bound.help_text, asked.required, unmarked)
    key = (type(form), bound.html_name, bound.auto_id, *words, *asked.widget.attrs.items())
    if key in _empty_fields:
        return SafeString(_empty_fields[key])
    written = _written(bound, unmarked=unmarked)
    if len(_empty_fields) < _MOST_KEPT:
        _empty_fields[key] = written
    return written


def _written(bound: BoundField, *, unmarked: bool) -> SafeString:
    return SafeString(get_template("parts/field.html").render({"field": bound, "unmarked": unmarked}))
