from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from carecollective.accounts.pages import MemberRequest, member_page
from carecollective.safety import services


@member_page
def end_block(request: MemberRequest, block_id: UUID) -> HttpResponse:
    """End one of the member's blocks, from the list on the account page."""
    if request.method == "POST":
        services.end_block(actor=request.user, block_id=block_id)
    return redirect(f"{reverse('account')}#blocked")
