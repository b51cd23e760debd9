from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from carecollective.web.admin_site import ReadOnlyAdmin, site
from rollout.dashboard.timeline import change_title
from rollout.dashboard.views import acceptance, control_room, live
from rollout.models import Change, Source

# At /admin/rollout/ the admin would list this app's models.
site.register_page("rollout/", control_room, name="rollout_control_room")
site.register_page("rollout/acceptance", acceptance, name="rollout_acceptance")
site.register_page("rollout/live", live, name="rollout_live")


@admin.register(Change)
class ChangeAdmin(ReadOnlyAdmin):
    """The record of changes, read-only. The flag is not registered: editing its row would bypass the rules."""

    list_display = ("at", "what", "who", "reason")
    list_filter = ("source", "override", "at")
    search_fields = ("actor_label", "reason")
    ordering = ("-id",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["session_role" if name == "database_role" else name for name in super().get_fields(request, obj)]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("rollout.view")

    @admin.display(ordering="flag_version")
    def what(self, change: Change) -> str:
        return change_title(change) + (", V1 writes off" if change.to_v1_writes is False else "")

    @admin.display(description="database role")
    def session_role(self, change: Change) -> str:
        """Explain the guard's role at a rollback by command, which uses the guard's connection."""
        if change.source == Source.COMMAND and change.database_role.endswith("_guard"):
            return f"{change.database_role} (used by the command for a rollback; not the guard)"
        return change.database_role

    @admin.display(ordering="actor_label")
    def who(self, change: Change) -> str:
        override = ", overriding the rules" if change.override else ""
        return f"{change.actor_label} ({change.get_source_display()}{override})"
