from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from carecollective.accounts.authentication import member_of
from carecollective.accounts.models import User
from carecollective.core.errors import DomainError, DomainNotFound, InvalidInput, NotPermitted, ValidationRefused
from carecollective.moderation import acts, selectors, services
from carecollective.moderation.models import ActKind, Report, ReportAbout, ReportOutcome
from carecollective.web.admin_site import ReadOnlyAdmin
from carecollective.web.api import parse_uuid


@admin.register(Report)
class ReportAdmin(ReadOnlyAdmin):
    """Reports of both systems. A reported message shows only on request, and each request is recorded.

    It is the only access that staff have to conversations: no model of either messaging is in the admin.
    """

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        self._require_staff(request)
        page = selectors.list_reports(reader=member_of(request), page=_number(request, "page", digits=6) or 1)
        context = {**self.admin_site.each_context(request), "title": "Reports", "page": page}
        return TemplateResponse(request, "admin/moderation/reports.html", context)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return redirect("admin:moderation_report_change", object_id)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        self._require_staff(request)
        try:
            return self._answer(request, parse_uuid(object_id or ""))
        except (DomainNotFound, InvalidInput):
            raise Http404 from None

    def _answer(self, request: HttpRequest, report_id: UUID) -> HttpResponse:
        reader = member_of(request)
        if request.method == "POST" and "show" in request.POST:
            # A redirect, so that reloading the page records no second access.
            return redirect(f"{request.path}?look={services.reveal_report(actor=reader, report_id=report_id)}")
        try:
            if "undo" in request.POST:
                return self._undo(request, reader, report_id)
            if "act" in request.POST:
                return self._act(request, reader, report_id)
            if request.method == "POST":
                return self._settle(request, reader, report_id)
        except (DomainNotFound, NotPermitted):
            raise
        except DomainError as refusal:
            fields = refusal.fields if isinstance(refusal, ValidationRefused) else {"": [refusal.message]}
            for sentence in (found for sentences in fields.values() for found in sentences):
                self.message_user(request, str(sentence), messages.ERROR)
        return self._show(request, reader, report_id)

    def _show(self, request: HttpRequest, reader: User, report_id: UUID) -> HttpResponse:
        """Show one report, with what was typed where it was refused."""
        report = selectors.find_report(reader=reader, report_id=report_id)
        member_id = report.author_id
        context = {
            **self.admin_site.each_context(request),
            "title": "A reported message" if report.about == ReportAbout.MESSAGE else "A reported person",
            "report": report,
            "revealed": selectors.list_revealed_messages(
                reader=reader, report_id=report_id, access=_number(request, "look", digits=18)
            ),
            "accesses": selectors.list_accesses(reader=reader, report_id=report_id),
            "outcomes": [choice for choice in ReportOutcome.choices if choice[0] != ReportOutcome.PENDING],
            "other_reports": _others(reader, report),
            "acts": selectors.list_acts_about(reader=reader, member_id=member_id) if member_id else [],
            "choices": [choice for choice in acts.CHOICES if choice[0] != ActKind.HIDE or report.about == "message"],
            "days": acts.DAYS,
            "typed": request.POST,
            "may_act": member_id not in (None, reader.pk),
        }
        return TemplateResponse(request, "admin/moderation/report.html", context)

    def _act(self, request: HttpRequest, reader: User, report_id: UUID) -> HttpResponse:
        typed = request.POST
        acts.act_on_report(
            actor=reader,
            report_id=report_id,
            choice=typed.get("choice", ""),
            reason=typed.get("reason", ""),
            words=typed.get("words", ""),
            days=typed.get("days", ""),
            daily_limit=typed.get("daily_limit", ""),
        )
        self.message_user(request, "Done. The member is told, and so is who reported it.", messages.SUCCESS)
        # With the access that shows the message, for whoever goes on.
        return redirect(request.get_full_path())

    def _undo(self, request: HttpRequest, reader: User, report_id: UUID) -> HttpResponse:
        acts.undo_act(actor=reader, act_id=parse_uuid(request.POST["undo"]), reason=request.POST.get("undo_reason", ""))
        self.message_user(request, "Undone. The member is told.", messages.SUCCESS)
        return redirect(request.get_full_path())

    def _settle(self, request: HttpRequest, reader: User, report_id: UUID) -> HttpResponse:
        report = services.settle_report(actor=reader, report_id=report_id, outcome=request.POST.get("outcome", ""))
        self.log_change(request, report, str(ReportOutcome(report.status).label))
        self.message_user(request, "The report is settled. Who reported it is told.", messages.SUCCESS)
        return redirect(reverse("admin:moderation_report_changelist"))

    def _require_staff(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied


def _others(reader: User, report: selectors.ReportSummary) -> list[selectors.ReportSummary]:
    """Return the other reports about the same member."""
    if report.author_id is None:
        return []
    found = selectors.list_reports_about(reader=reader, member_id=report.author_id)
    return [one for one in found if one.id != report.id]


def _number(request: HttpRequest, name: str, *, digits: int) -> int | None:
    """Return a positive number from the query string, or None for anything else or too many digits."""
    asked = request.GET.get(name, "")
    is_number = asked.isascii() and asked.isdigit() and len(asked) <= digits
    return (int(asked) or None) if is_number else None
