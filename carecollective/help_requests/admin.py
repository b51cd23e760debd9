from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from carecollective.help_requests.models import HelpRequest


@admin.register(HelpRequest)
class HelpRequestAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The requests, for staff to look at: their owners alone change them."""

    list_display = ("title", "user", "category", "urgency", "status", "created_at", "expires_at")
    list_filter = ("status", "category", "urgency")
    list_select_related = ("user",)
    search_fields = ("title", "description", "user__name")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")
    actions = None

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_active and getattr(request.user, "is_staff", False))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
