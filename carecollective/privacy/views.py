"""The pages to export one's own data and to erase oneself."""

from uuid import UUID

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters

from carecollective.accounts.pages import MemberRequest, member_page
from carecollective.privacy import erasure, exports
from carecollective.privacy.forms import ErasureForm
from carecollective.web.pages import CatchRefusals, public_page, render_page


@member_page
def request_export(request: MemberRequest) -> HttpResponse:
    """Request an export. The account page shows its progress."""
    if request.method == "POST":
        exports.request_export(actor=request.user)
    return redirect(f"{reverse('account')}#your-data")


@member_page
def download_export(request: MemberRequest, export_id: UUID) -> HttpResponse:
    """Send a finished export to its member; 404 for anybody else."""
    content = exports.read_export(reader=request.user, export_id=export_id)
    return HttpResponse(
        content,
        content_type="application/zip",
        headers={
            "Content-Disposition": 'attachment; filename="care-collective-my-data.zip"',
            "Cache-Control": "no-store, private",
            "X-Content-Type-Options": "nosniff",
        },
    )


@sensitive_post_parameters("password")
@public_page
def erase_account(request: HttpRequest) -> HttpResponse:
    """Erase the member who confirms with their password, then show the goodbye page."""
    # Checked in this order: a first click signs the member out only after the erasure.
    if not request.user.is_authenticated and erasure.has_left(ErasureForm(request.POST).member_id()):
        return redirect("account-erased")
    return _erase_account(request)


@member_page
def _erase_account(request: MemberRequest) -> HttpResponse:
    if request.method != "POST":
        return render_page(request, "privacy/erase.html", {"form": ErasureForm.of(request.user)})
    form = ErasureForm(request.POST)
    with CatchRefusals(form) as attempt:
        erasure.erase_self(request=request, actor=request.user, password=form.raw("password"))
        logout(request)
        return redirect("account-erased")
    return render_page(request, "privacy/erase.html", {"form": form}, refusal=attempt.error)


@public_page
def say_goodbye(request: HttpRequest) -> HttpResponse:
    """Show the goodbye page to a member who has left. Who is signed in has not."""
    if request.user.is_authenticated:
        return redirect("account")
    return render_page(request, "privacy/erased.html", {})
