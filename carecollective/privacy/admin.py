from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from carecollective.accounts.admin import MemberAdmin
from carecollective.accounts.authentication import member_of
from carecollective.accounts.models import User
from carecollective.core.errors import DomainError
from carecollective.privacy import erasure, exports


class MemberWithDataAdmin(MemberAdmin):
    """The members, with the actions that staff do for a member who asks: export their data, or erase them."""

    actions = (*MemberAdmin.actions, "export_data", "erase")

    @admin.action(description=_("Put together the data of the selected members, for them to download"))
    def export_data(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        asked = 0
        for member in queryset:
            try:
                exports.request_export_for_member(actor=member_of(request), member_id=member.pk)
            except DomainError as refusal:
                self.message_user(request, str(refusal.message), messages.ERROR)
                continue
            self.log_change(request, member, "Asked for a copy of their data, at their wish")
            asked += 1
        sentence = ngettext(
            "The data of %(count)d member is being put together. They hear of it by e-mail and alone can open it.",
            "The data of %(count)d members is being put together. They hear of it by e-mail and alone can open it.",
            asked,
        )
        if asked:
            self.message_user(request, sentence % {"count": asked}, messages.SUCCESS)

    @admin.action(description=_("Erase the selected member for good"))
    def erase(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """Ask for confirmation on a page of its own. Only one member at a time, so that a slip erases few."""
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, _("Please choose one member at a time."), messages.ERROR)
            return None
        member = chosen[0]
        typed = request.POST.get("confirmed", "").strip()
        wanted = member.email or member.name
        if typed != wanted:
            context = {
                **self.admin_site.each_context(request),
                "title": "Erase a member",
                "member": member,
                "wanted": wanted,
                "is_wrong": "confirmed" in request.POST,
            }
            return TemplateResponse(request, "admin/privacy/erase_member.html", context)
        try:
            erasure.erase_for_member(actor=member_of(request), member_id=member.pk)
        except DomainError as refusal:
            self.message_user(request, str(refusal.message), messages.ERROR)
            return None
        member.refresh_from_db()
        self.log_change(request, member, "Erased, at their wish")
        self.message_user(request, _("The member is erased."), messages.SUCCESS)
        return None


# `accounts` registers the members, and may not import exports and erasure.
admin.site.unregister(User)
admin.site.register(User, MemberWithDataAdmin)
