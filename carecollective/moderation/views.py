"""The pages on which a member reports a message or a person."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from carecollective.accounts.pages import MemberRequest, member_page
from carecollective.moderation import selectors, services
from carecollective.moderation.forms import ReportForm
from carecollective.web.api import parse_uuid
from carecollective.web.pages import CatchRefusals, render_page


@member_page
def report_message(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    """Show the message to be reported, and take the report. Without `message`, it is the first of the conversation."""
    named = request.POST.get("message") or request.GET.get("message", "")
    message_id = parse_uuid(named) if named else None
    reported = selectors.get_reportable_message(
        reader=request.user, conversation_id=conversation_id, message_id=message_id
    )
    context = {"reported": reported, "conversation_id": conversation_id, "message_id": named}
    report = partial(
        services.report_message, actor=request.user, conversation_id=conversation_id, message_id=message_id
    )
    return _take_report(request, "moderation/report.html", context, report, reverse("thread", args=[conversation_id]))


@member_page
def report_participant(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    """Take a report of the other person in a conversation."""
    person = selectors.get_reportable_member(reader=request.user, conversation_id=conversation_id)
    report = partial(services.report_member, actor=request.user, conversation_id=conversation_id)
    back = reverse("thread", args=[conversation_id])
    context = {"reported": person, "address": request.path, "back": back}
    return _take_report(request, "moderation/report_member.html", context, report, back)


@member_page
def report_request(request: MemberRequest, help_request_id: UUID) -> HttpResponse:
    """Take a report of whoever posted a help request."""
    person = selectors.get_reportable_member(reader=request.user, help_request_id=help_request_id)
    report = partial(services.report_member, actor=request.user, help_request_id=help_request_id)
    back = reverse("request-detail", args=[help_request_id])
    context = {"reported": person, "address": request.path, "back": back}
    return _take_report(request, "moderation/report_member.html", context, report, back)


def _take_report(
    request: MemberRequest, template: str, context: dict[str, Any], report: Callable[..., Any], back: str
) -> HttpResponse:
    form = ReportForm(request.POST) if request.method == "POST" else ReportForm()
    refusal = None
    if request.method == "POST":
        with CatchRefusals(form) as attempt:
            report(reason=form.raw("reason"), words=form.raw("words"))
            return redirect(f"{back}?reported=1")
        refusal = attempt.error
    return render_page(request, template, {**context, "form": form}, refusal=refusal)
