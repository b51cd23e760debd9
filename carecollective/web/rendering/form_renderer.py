"""The widgets of forms, written in Python as Django's templates write them: the filters of a list were two hundred nodes."""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from django import forms
from django.forms.renderers import DjangoTemplates
from django.http import HttpRequest
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString

Widget = Mapping[str, Any]


class PlainWidgets(DjangoTemplates):
    """Django's renderer, without a template for the widgets that most forms are made of."""

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        write = _WRITERS.get(template_name)
        return SafeString(write(context["widget"])) if write else super().render(template_name, context, request)


class FixedSelect(forms.Select):
    """A select that is rendered once for each of its values: its choices never change."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The copies of this widget, one in each form, share it. Values that are no choice are not kept.
        self._rendered: dict[Any, SafeString] = {}
        self._values = frozenset(str(value) for value, _label in self.choices)

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        if str(value) not in self._values:
            return super().render(name, value, attrs, renderer)
        key = (name, str(value), *self.attrs.items(), *(attrs or {}).items())
        if key not in self._rendered:
            self._rendered[key] = super().render(name, value, attrs, renderer)
        return self._rendered[key]


def _escape(value: Any) -> str:
    # What Django's function does with plain text, without looking what else it might be.
    return escape(value) if type(value) is str else conditional_escape(value if isinstance(value, str) else str(value))


def _attributes(widget: Widget) -> str:
    given = ((name, value) for name, value in widget["attrs"].items() if value is not False)
    return "".join(f" {name}" if value is True else f' {name}="{_escape(value)}"' for name, value in given)


def _input(widget: Widget) -> str:
    value = "" if widget["value"] is None else f' value="{_escape(widget["value"])}"'
    return f'<input type="{widget["type"]}" name="{_escape(widget["name"])}"{value}{_attributes(widget)}>'


def _textarea(widget: Widget) -> str:
    # The first line end is not part of the text, so that a text may begin with one.
    words = _escape(widget["value"]) if widget["value"] else ""
    return f'<textarea name="{_escape(widget["name"])}"{_attributes(widget)}>\n{words}</textarea>'


def _select(widget: Widget) -> str:
    groups = []
    for label, options, _index in widget["optgroups"]:
        lines = "".join(f"\n  {_option(option)}\n" for option in options)
        groups.append(f'\n  <optgroup label="{_escape(label)}">{lines}\n  </optgroup>' if label else lines)
    return f'<select name="{_escape(widget["name"])}"{_attributes(widget)}>{"".join(groups)}\n</select>'


def _option(option: Widget) -> str:
    return f'<option value="{_escape(option["value"])}"{_attributes(option)}>{_escape(option["label"])}</option>'


_WRITERS: Mapping[str, Callable[[Widget], str]] = {
    **{f"django/forms/widgets/{kind}.html": _input for kind in ("email", "hidden", "password", "text")},
    "django/forms/widgets/textarea.html": _textarea,
    "django/forms/widgets/select.html": _select,
}
