from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern, URLResolver, path

from carecollective.core.admin_site import ReadOnlyAdmin
from rollout.control_room import control_room, first_page, live
from rollout.models import Change

_list_urls = admin.site.get_urls


def list_urls_with_control_room() -> list[URLPattern | URLResolver]:
    """Put the control room first: at /admin/rollout/, where the admin would list this app's models, and behind /admin/."""
    view = admin.site.admin_view
    return [
        path("", view(first_page)),
        path("records/", view(admin.site.index), name="records"),
        path("rollout/", view(control_room), name="rollout_control_room"),
        path("rollout/live", view(live), name="rollout_live"),
        *_list_urls(),
    ]


# A hook on the site that all apps share, instead of a site of our own that every app would have to know.
admin.site.get_urls = list_urls_with_control_room  # type: ignore[method-assign]


@admin.register(Change)
class ChangeAdmin(ReadOnlyAdmin):
    """The whole record, to read. The flag itself is not registered: its raw row would go past the rules."""

    list_display = ("at", "actor_label", "source", "from_stage", "to_stage", "to_v1_writes", "override", "reason")
    list_filter = ("source", "override", "at")
    search_fields = ("actor_label", "reason")
    ordering = ("-id",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("rollout.view")
