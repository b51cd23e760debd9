"""The page on which anybody writes to staff."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from carecollective.accounts.models import User
from carecollective.contact.forms import ContactForm
from carecollective.contact.services import write_to_staff
from carecollective.web.pages import CatchRefusals, public_page, render_page


@public_page
def contact(request: HttpRequest) -> HttpResponse:
    """Take a message to staff, from members and visitors."""
    member = _writer(request)
    if request.method != "POST":
        context = {"form": ContactForm.for_member(member), "is_sent": "sent" in request.GET}
        return render(request, "contact/contact.html", context)
    form = ContactForm.for_member(member, request.POST)
    with CatchRefusals(form) as attempt:
        # A program that filled in the trap is answered like a person.
        if not form.raw("website"):
            write_to_staff(
                request=request,
                member=member,
                name=form.raw("name"),
                email=form.raw("email"),
                text=form.raw("text"),
                key=form.idempotency_key("name", "email", "text"),
            )
        return redirect(f"{request.path}?sent=1")
    return render_page(request, "contact/contact.html", {"form": form}, refusal=attempt.error)


def _writer(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None
