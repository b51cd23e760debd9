"""Pages about help requests. The page of one request, where help is offered, is in the inbox."""

from collections.abc import Sequence

from django.db.models import TextChoices
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from carecollective.accounts.pages import MemberRequest, button_page, member_page, signed_in_member
from carecollective.core.errors import ValidationRefused
from carecollective.help_requests import selectors, services
from carecollective.help_requests.forms import FiltersForm, HelpRequestForm
from carecollective.help_requests.models import OTHER, Category, RequestStatus, Urgency
from carecollective.help_requests.selectors import RequestFilters
from carecollective.web.api import read_cursor
from carecollective.web.pages import CatchRefusals, public_page, render_page


@public_page
def list_help_requests(request: HttpRequest) -> HttpResponse:
    """Show help requests, newest first: the open ones, unless the address asks for others."""
    given = {"status": RequestStatus.OPEN.value} | request.GET.dict()
    form = FiltersForm(given)
    filters, refusal = RequestFilters(status=RequestStatus.OPEN), None
    try:
        filters = RequestFilters.parse(given)
    except ValidationRefused as refused:
        refusal = refused
    found = selectors.list_requests(filters=filters, cursor=read_cursor(request))
    context = {
        "form": form,
        "page": found,
        "reader": signed_in_member(request),
        "refusal": refusal,
        "filters": filters,
        "chosen": _chosen(filters),
        "is_filtered": filters != RequestFilters(status=RequestStatus.OPEN),
    }
    return render_page(request, "help_requests/list.html", context, refusal=refusal)


def _chosen(filters: RequestFilters) -> Sequence[str]:
    """Return the labels of the filters that are set, for the list to show."""
    chosen: list[str] = []
    if filters.category:
        chosen.append(str(Category(filters.category).label))
    if filters.urgency:
        chosen.append(_label(Urgency, filters.urgency))
    if filters.status != RequestStatus.OPEN:
        chosen.append(_label(RequestStatus, filters.status) if filters.status else _("Open or over"))
    return chosen


def _label(choices: type[TextChoices], value: str) -> str:
    return _("Other") if value == OTHER else str(choices(value).label)


@member_page
def ask_for_help(request: MemberRequest) -> HttpResponse:
    """Post a request for help."""
    if request.method != "POST":
        return render_page(request, "help_requests/new.html", {"form": HelpRequestForm()})
    form = HelpRequestForm(request.POST)
    with CatchRefusals(form) as attempt:
        posted = services.post_request(
            actor=request.user,
            title=form.raw("title"),
            description=form.raw("description"),
            category=form.raw("category") or Category.OTHER,
            urgency=form.raw("urgency") or Urgency.NORMAL,
            key=form.idempotency_key("title", "description", "category", "urgency"),
        )
        return redirect("request-detail", posted.pk)
    return render_page(request, "help_requests/new.html", {"form": form}, refusal=attempt.error)


complete_request = button_page(services.complete_request, "request-detail")
cancel_request = button_page(services.cancel_request, "request-detail")
reopen_request = button_page(services.reopen_request, "request-detail")
keep_request_open = button_page(services.keep_request_open, "request-detail")
