"""Django's `{% include %}`, which finds a template that is named in the page once. A page has some six."""

from typing import Any, cast

from django import template
from django.template.base import FilterExpression, Node, Parser, Template, Token
from django.template.context import Context
from django.template.loader_tags import IncludeNode, do_include

register = template.Library()


@register.tag
def include(parser: Parser, token: Token) -> Node:
    """Read the tag as Django does."""
    node: Any = do_include(parser, token)
    name: FilterExpression = node.template
    if not (name.is_var or name.filters):
        node.template = KeptTemplate(str(name.var))
    return cast("IncludeNode", node)


class KeptTemplate:
    """A template's name that resolves to the template itself, kept as long as the template that includes it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: Template | None = None

    def resolve(self, context: Context) -> Template:
        if self._found is None:
            including = cast("Template", context.template)
            self._found = including.engine.get_template(self._name)
        return self._found
