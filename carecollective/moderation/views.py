"""The page on which a member reports a message."""

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
    form = ReportForm(request.POST) if request.method == "POST" else ReportForm()
    refusal = None
    if request.method == "POST":
        with CatchRefusals(form) as attempt:
            services.report_message(
                actor=request.user,
                conversation_id=conversation_id,
                message_id=message_id,
                reason=form.raw("reason"),
                words=form.raw("words"),
            )
            return redirect(f"{reverse('thread', args=[conversation_id])}?reported=1")
        refusal = attempt.error
    context = {"form": form, "reported": reported, "conversation_id": conversation_id, "message_id": named}
    return render_page(request, "moderation/report.html", context, refusal=refusal)
