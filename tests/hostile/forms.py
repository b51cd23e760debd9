"""Every form that the site's pages show, found by reading the pages."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit


@dataclass
class Form:
    """A form as a browser would send it: where to, and its fields with what stands in them."""

    method: str
    path: str
    fields: dict[str, str] = field(default_factory=dict)
    # Fields that the page has filled in and nobody sees: which button it was, which row.
    hidden: frozenset[str] = frozenset()

    @property
    def shape(self) -> tuple[Any, ...]:
        """What tells two forms apart, ids in the address aside."""
        action = self.fields.get("action" if "action" in self.hidden else "form", "")
        steps = tuple(step if step.isascii() and step.isalpha() else "-" for step in self.path.split("/"))
        return (self.method, steps, tuple(sorted(self.fields)), action)


class _Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.page = page
        self.forms: list[Form] = []
        self.open: Form | None = None
        self.text: str | None = None
        self.select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            path = urlsplit(urljoin(self.page, given.get("action", ""))).path
            self.open = Form(given.get("method", "get").upper(), path)
            self.forms.append(self.open)
        if self.open is None:
            return
        name = given.get("name", "")
        if tag in ("input", "button") and name and name != "csrfmiddlewaretoken":
            self.open.fields[name] = given.get("value", "")
            if given.get("type") == "hidden" or tag == "button":
                self.open.hidden |= {name}
        elif tag == "textarea" and name:
            self.open.fields[name] = ""
            self.text = name
        elif tag == "select" and name:
            self.open.fields.setdefault(name, "")
            self.select = name
        elif tag == "option" and self.select and ("selected" in given or not self.open.fields[self.select]):
            self.open.fields[self.select] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.open = None
        elif tag == "textarea":
            self.text = None
        elif tag == "select":
            self.select = None

    def handle_data(self, data: str) -> None:
        if self.open is not None and self.text:
            self.open.fields[self.text] += data.strip()


def forms_of(page: str, markup: str) -> list[Form]:
    """Return the forms of the page at `page`."""
    reader = _Reader(page)
    reader.feed(markup)
    return reader.forms
