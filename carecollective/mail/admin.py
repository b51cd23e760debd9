from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from carecollective.mail import queue
from carecollective.mail.models import MailState, OutgoingMail
from carecollective.web.admin_site import ReadOnlyMixin, StaffViewMixin


@admin.register(OutgoingMail)
class OutgoingMailAdmin(StaffViewMixin, ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """The dead letters and the mail that is tried again. Its text is not stored."""

    actions = ("try_again", "put_aside")
    ordering = ("state", "-created_at", "pk")
    list_display = ("recipient", "what", "state", "created_at", "attempts", "last_tried_at", "error")
    list_filter = ("state", "kind")
    list_select_related = ("recipient",)
    list_per_page = 50
    fields = ("recipient", "what", "state", "created_at", "attempts", "first_tried_at", "last_tried_at", "error")

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutgoingMail]:
        failed = Q(state=MailState.DEAD) | (Q(state=MailState.WAITING) & ~Q(error=""))
        return super().get_queryset(request).filter(failed)

    @admin.display(description=_("what"), ordering="kind")
    def what(self, mail: OutgoingMail) -> Any:
        return queue.kind_title(mail.kind)

    @admin.action(description=_("Try again to send the selected mail"))
    def try_again(self, request: HttpRequest, queryset: QuerySet[OutgoingMail]) -> None:
        tried = self._log(request, queue.try_again([mail.pk for mail in queryset]), "Tried again")
        sentence = ngettext("%(count)d mail is tried again now.", "%(count)d mails are tried again now.", tried)
        self.message_user(request, sentence % {"count": tried}, messages.SUCCESS)

    @admin.action(description=_("Put the selected mail aside: nobody needs it any more"))
    def put_aside(self, request: HttpRequest, queryset: QuerySet[OutgoingMail]) -> None:
        put = self._log(request, queue.put_aside([mail.pk for mail in queryset]), "Put aside")
        sentence = ngettext("%(count)d mail is put aside.", "%(count)d mails are put aside.", put)
        self.message_user(request, sentence % {"count": put}, messages.SUCCESS)

    def _log(self, request: HttpRequest, changed: list[OutgoingMail], entry: str) -> int:
        """Write in the admin's log what was done about these mails; return how many they are."""
        for mail in changed:
            self.log_change(request, mail, entry)
        return len(changed)
