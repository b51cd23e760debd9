"""The pages of a member's own requests and offers."""

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from carecollective.accounts.pages import MemberRequest, member_page
from carecollective.inbox.mine import services
from carecollective.inbox.mine.selectors import list_own_requests
from carecollective.inbox.records import Shown
from carecollective.inbox.selectors import list_conversations
from carecollective.web.api import read_cursor
from carecollective.web.pages import render_page


@member_page
def my_requests(request: MemberRequest) -> HttpResponse:
    """Show what the member asked for, newest first."""
    found = list_own_requests(owner=request.user, cursor=read_cursor(request))
    return render_page(request, "inbox/my_requests.html", {"page": found})


@member_page
def my_offers(request: MemberRequest) -> HttpResponse:
    """Show the conversations about the requests of others, newest activity first."""
    found = list_conversations(reader=request.user, shown=Shown.OFFERS, cursor=read_cursor(request))
    return render_page(request, "inbox/my_offers.html", {"page": found})


@member_page
def thank_helper(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    """Thank the helper of a conversation, and show it there."""
    if request.method == "POST":
        services.thank_helper(actor=request.user, conversation_id=conversation_id)
    return redirect(f"{reverse('thread', args=[conversation_id])}#latest")
