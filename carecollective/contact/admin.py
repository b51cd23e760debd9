from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from carecollective.accounts.authentication import member_of
from carecollective.contact.models import ContactMessage
from carecollective.contact.services import mark_answered
from carecollective.core.database import acting_as
from carecollective.web.admin_site import ReadOnlyMixin, StaffViewMixin


@admin.register(ContactMessage)
class ContactMessageAdmin(StaffViewMixin, ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """Messages from the contact page, unanswered ones first. Staff answer by e-mail and mark them as answered."""

    actions = ("mark_as_answered",)
    ordering = (F("answered_at").asc(nulls_first=True), "-created_at")
    list_display = ("name", "email", "beginning", "created_at", "answered_at", "answered_by")
    list_select_related = ("answered_by",)
    list_per_page = 50
    fields = ("name", "answer_to", "member", "text", "created_at", "answered_at", "answered_by")
    readonly_fields = fields

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {"title": _("Messages to staff"), **(extra_context or {})}
        return _acting(request, super().changelist_view, extra_context=context)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return _acting(request, super().changeform_view, object_id, form_url, extra_context)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return _acting(request, super().history_view, object_id, extra_context)

    @admin.display(description=_("message"))
    def beginning(self, message: ContactMessage) -> str:
        return message.text if len(message.text) <= 80 else f"{message.text[:79]}…"

    @admin.display(description=_("answer to"))
    def answer_to(self, message: ContactMessage) -> str:
        return format_html('<a href="mailto:{0}">{0}</a>', message.email)

    @admin.action(description=_("Mark the selected messages as answered"))
    def mark_as_answered(self, request: HttpRequest, queryset: QuerySet[ContactMessage]) -> None:
        marked = mark_answered(actor=member_of(request), message_ids=[message.pk for message in queryset])
        sentence = ngettext("%(count)d message is marked.", "%(count)d messages are marked.", marked)
        self.message_user(request, sentence % {"count": marked}, messages.SUCCESS)


def _acting(request: HttpRequest, view: Callable[..., HttpResponse], *args: Any, **options: Any) -> HttpResponse:
    """Answer as the member of staff: the database shows the messages to staff alone."""
    with acting_as(member_of(request)):
        response = view(request, *args, **options)
        return response.render() if isinstance(response, SimpleTemplateResponse) else response
