from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.widgets import AdminTextInputWidget
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from carecollective.accounts.applicants.services import change_decision, decide_application
from carecollective.accounts.applicants.views import applicants
from carecollective.accounts.authentication import member_of
from carecollective.accounts.models import User, VerificationStatus
from carecollective.accounts.names.rules import clean_name_by_staff, is_taken_by_staff
from carecollective.accounts.services import (
    CHANGED_BY_STAFF,
    LINKED_BY_STAFF,
    fingerprint_of,
)
from carecollective.accounts.sign_in.passwords import send_password_link
from carecollective.core.errors import DomainError, ValidationRefused
from carecollective.web.admin_site import ReadOnlyMixin, StaffViewMixin, site

LINKS_AT_ONCE = 20
# What decides about a membership, and its dates: shown to staff, changed only by actions.
MEMBERSHIP = (
    *("verification_status", "application_reason", "rejection_reason", "kept_out_reason"),
    *("approved_at", "approved_by", "created_at", "last_login"),
)


class RejectionForm(ActionForm):
    """The bar above the list, with a field for the reason of a rejection."""

    reason = forms.CharField(label=_("Reason, shown to the member:"), required=False, max_length=500)


class MemberForm(forms.ModelForm):  # type: ignore[type-arg]
    """A member with optimistic locking: an old page does not undo somebody else's change."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = User
        fields = (*CHANGED_BY_STAFF, *LINKED_BY_STAFF)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial["seen"] = fingerprint_of(self.instance)

    def clean_name(self) -> str:
        try:
            return clean_name_by_staff(self.cleaned_data["name"], of=self.instance)
        except ValidationRefused as refusal:
            raise forms.ValidationError(refusal.fields["name"]) from None

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        # Locked until this is written: of two changes at once, one is refused.
        stored = User.objects.select_for_update(no_key=True).get(pk=self.instance.pk)
        if self.data.get("seen") != fingerprint_of(stored):
            raise forms.ValidationError(
                _("Somebody has changed this member since you opened the page. Please look again.")
            )
        name = found.get("name", stored.name)
        counts = name != stored.name or found.get("is_staff", stored.is_staff)
        if counts and is_taken_by_staff(name, by=stored):
            raise forms.ValidationError(
                _(
                    "Another member of staff has this name. What staff do is on record under their names: please tell them apart."
                )
            )
        return found


site.register_page("applicants/", applicants, name="applicants")
admin.site.unregister(Group)


@admin.register(Group)
class GroupsAdmin(ReadOnlyMixin, GroupAdmin):
    """Groups and their permissions, read-only: migrations make them. Members are put into groups on their own page."""


@admin.register(User)
class MemberAdmin(StaffViewMixin, UserAdmin):  # type: ignore[type-arg]
    """The members, waiting ones first. Applicants have a page of their own; here staff change a decision."""

    form = MemberForm
    action_form = RejectionForm
    actions: tuple[str, ...] = ("approve", "reject", "send_password_link")
    ordering = ("verification_status", "created_at")
    list_display = ("name", "email", "location", "verification_status", "application_reason", "created_at", "is_staff")
    list_filter = ("verification_status", "is_staff", "is_active", "groups")
    search_fields = ("name", "email", "location")
    list_per_page = 50
    formfield_overrides: ClassVar[dict[Any, Any]] = {models.TextField: {"widget": AdminTextInputWidget}}
    readonly_fields = ("email", *MEMBERSHIP)
    fieldsets = (
        (None, {"fields": ("seen", "name", "email", "location")}),
        (_("Membership"), {"fields": MEMBERSHIP}),
        (_("May do"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Only administrators make administrators. Staff cannot rename themselves: the audit log shows names.
        readonly = super().get_readonly_fields(request, obj)
        if obj is not None and obj.pk == request.user.pk:
            readonly = (*readonly, "name")
        if _is_superuser(request):
            return readonly
        return (*readonly, "is_staff", "is_superuser", "groups", "user_permissions")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: members join by themselves, and staff approve them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: a member's conversations belong to the other person too."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let only administrators change members of staff."""
        is_above = obj is not None and (obj.is_staff or obj.is_superuser) and not _is_superuser(request)
        return bool(super().has_change_permission(request, obj)) and not is_above

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Write only what was changed, so that a password chosen meanwhile stays."""
        obj.save(update_fields=[name for name in form.changed_data if name in CHANGED_BY_STAFF])

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Refuse: staff could sign in as the member. Members choose their password with a link."""
        raise PermissionDenied

    @admin.action(description=_("Approve the selected members"))
    def approve(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._decide(request, queryset, VerificationStatus.APPROVED)

    @admin.action(description=_("Do not approve the selected members"))
    def reject(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._decide(request, queryset, VerificationStatus.REJECTED)

    @admin.action(description=_("Send the selected members a link to choose a new password"))
    def send_password_link(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        sent = 0
        for member in queryset[:LINKS_AT_ONCE]:
            with self._showing_refusal(request, member):
                send_password_link(actor=member_of(request), member_id=member.pk)
                self.log_change(request, member, "Had a link sent to choose a new password")
                sent += 1
        sentence = ngettext("%(count)d link is on its way.", "%(count)d links are on their way.", sent)
        if sent:
            self.message_user(request, sentence % {"count": sent}, messages.SUCCESS)

    def _decide(self, request: HttpRequest, members: QuerySet[User], decision: VerificationStatus) -> None:
        decided = 0
        for member in members:
            with self._showing_refusal(request, member):
                is_applicant = member.verification_status == VerificationStatus.PENDING
                colleague = (decide_application if is_applicant else change_decision)(
                    actor=member_of(request),
                    member_id=member.pk,
                    approves=decision == VerificationStatus.APPROVED,
                    reason=request.POST.get("reason", "").strip(),
                )
                decided += 1
                if colleague is not None:
                    warning = _("%(by)s had decided otherwise about %(member)s. Please tell them what you changed.")
                    names = {"by": colleague.name, "member": member.name}
                    self.message_user(request, warning % names, messages.WARNING)
        sentence = ngettext("%(count)d member: %(decision)s.", "%(count)d members: %(decision)s.", decided)
        if decided:
            self.message_user(request, sentence % {"count": decided, "decision": decision.label}, messages.SUCCESS)

    @contextmanager
    def _showing_refusal(self, request: HttpRequest, member: User) -> Iterator[None]:
        """Show staff why a change of one member was refused, and go on with the next."""
        try:
            yield
        except DomainError as refusal:
            self.message_user(request, f"{member}: {refusal.message}", messages.ERROR)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
