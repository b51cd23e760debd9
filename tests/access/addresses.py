"""Every address that the URL configuration knows, so that no test keeps a list of its own that can fall behind."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


@dataclass(frozen=True, slots=True)
class Address:
    """One pattern of the URL configuration: `requests/<uuid:help_request_id>`, its name and its view."""

    route: str
    name: str
    view: Any

    @property
    def is_api(self) -> bool:
        """Whether programs come here; the docs are a page for people."""
        return self.route.startswith("api/") and self.name != "api-docs"

    @property
    def is_admin(self) -> bool:
        return self.route.startswith("admin/")

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of what the path leaves open."""
        return tuple(part.split(">")[0].split(":")[-1] for part in self.route.split("<")[1:])

    @property
    def methods(self) -> frozenset[str]:
        """What an API view takes; a page takes GET and POST, whatever it makes of them."""
        view_class = getattr(self.view, "cls", None)
        if view_class is None:
            return frozenset({"GET", "POST"})
        return frozenset(name.upper() for name in view_class.http_method_names if hasattr(view_class, name))

    def path(self, values: Mapping[str, Any]) -> str:
        """Return the path with each open part filled from `values` by its name."""
        filled = self.route
        for part in self.route.split("<")[1:]:
            inner = part.split(">")[0]
            filled = filled.replace(f"<{inner}>", str(values[inner.split(":")[-1]]))
        return "/" + filled


@cache
def addresses() -> tuple[Address, ...]:
    """Return every address of the site, regular expressions (the admin's list of an app, its catch-all) left as they are."""
    return tuple(_walk(get_resolver(), ""))


def _walk(resolver: URLResolver, prefix: str) -> Iterator[Address]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _walk(entry, route)
        elif isinstance(entry, URLPattern):
            yield Address(route, entry.name or "", entry.callback)
