from django.contrib import admin

from carecollective.help_requests.models import HelpRequest
from carecollective.web.admin_site import ReadOnlyAdmin


@admin.register(HelpRequest)
class HelpRequestAdmin(ReadOnlyAdmin):
    """Help requests, read-only: only their owners change them."""

    list_display = ("title", "user", "category", "urgency", "status", "created_at", "expires_at")
    list_filter = ("status", "category", "urgency")
    list_select_related = ("user",)
    search_fields = ("title", "description", "user__name")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")
