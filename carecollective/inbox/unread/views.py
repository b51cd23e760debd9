"""The list of conversations, and the buttons that mark one as unread or archive it."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from carecollective.accounts.pages import MemberRequest, member_page
from carecollective.inbox import selectors
from carecollective.inbox.records import Shown
from carecollective.inbox.unread import services
from carecollective.web.api import read_cursor
from carecollective.web.pages import render_page, render_part

SHOWN = {shown.value: shown for shown in (Shown.INBOX, Shown.UNREAD, Shown.ARCHIVED)}


@member_page
def list_conversations(request: MemberRequest) -> HttpResponse:
    """Show the member's conversations of both versions, newest activity first."""
    return render_page(request, "inbox/list.html", _list(request) | {"done": request.GET.get("done", "")})


@member_page
def show_latest_list(request: MemberRequest) -> HttpResponse:
    """Return the conversations as the list shows them, for a page that stays open."""
    context = _list(request)
    context["number"] = selectors.count_unread(reader=request.user)
    return render_part(request, "inbox/conversations.html", context, version=(context["page"], context["number"]))


@member_page
def mark_unread(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    if request.method != "POST":
        return redirect("thread", conversation_id)
    services.mark_unread(actor=request.user, conversation_id=conversation_id)
    return redirect(f"{reverse('messages')}?done=unread")


@member_page
def archive(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    if request.method != "POST":
        return redirect("thread", conversation_id)
    services.archive(actor=request.user, conversation_id=conversation_id)
    return redirect(f"{reverse('messages')}?done=archived")


@member_page
def unarchive(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    if request.method != "POST":
        return redirect("thread", conversation_id)
    services.unarchive(actor=request.user, conversation_id=conversation_id)
    return redirect(f"{reverse('messages')}?done=unarchived")


def _list(request: MemberRequest) -> dict[str, Any]:
    shown = SHOWN.get(request.GET.get("show", ""), Shown.INBOX)
    found = selectors.list_conversations(reader=request.user, shown=shown, cursor=read_cursor(request))
    return {"page": found, "shown": shown}
