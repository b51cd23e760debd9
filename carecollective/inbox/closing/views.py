"""The buttons that end a conversation or take that back. Each leads back to the thread, which says how it stands."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect

from carecollective.accounts.pages import MemberRequest, member_page
from carecollective.inbox.closing import services


@member_page
def close_conversation(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    if request.method == "POST":
        services.close_conversation(actor=request.user, conversation_id=conversation_id)
    return redirect("thread", conversation_id)


@member_page
def reopen_conversation(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    if request.method == "POST":
        services.reopen_conversation(actor=request.user, conversation_id=conversation_id)
    return redirect("thread", conversation_id)


@member_page
def block_other(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    if request.method == "POST":
        services.block_other(actor=request.user, conversation_id=conversation_id)
    return redirect("thread", conversation_id)


@member_page
def unblock_other(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    if request.method == "POST":
        services.unblock_other(actor=request.user, conversation_id=conversation_id)
    return redirect("thread", conversation_id)
