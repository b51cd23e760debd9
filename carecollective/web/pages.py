"""What every page shares: refusals shown as pages, and forms that keep what was typed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from hashlib import sha256
from types import TracebackType
from typing import Any, Concatenate, ParamSpec
from uuid import UUID, uuid4, uuid5

from django import forms
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import SuspiciousOperation
from django.forms.utils import ErrorDict
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from django.template.context import make_context
from django.template.loader import get_template
from django.utils.cache import get_conditional_response

from carecollective.core.errors import (
    DatabaseAway,
    DomainError,
    Unauthorized,
    ValidationRefused,
    answer_headers,
    as_domain_error,
    envelope,
)
from carecollective.observability import request_ids
from carecollective.web.api import parse_uuid, status_of

P = ParamSpec("P")


def render_page(
    request: HttpRequest, template: str, context: dict[str, Any], *, refusal: DomainError | None = None
) -> HttpResponse:
    """Render a page, with the status and headers of the refusal that it shows."""
    status = status_of(refusal) if refusal else 200
    if status >= 500:
        # The database may be away: what was typed is shown again without asking it for the counts in the header.
        context = context | {"unread": "", "staff_waiting": ""}
    found = get_template(template)
    given = make_context(context, request)
    response = HttpResponse(found.template.render(given), status=status)  # type: ignore[attr-defined]  # Django's own backend
    # What the page showed, and the page, hold each other: the garbage collector would have to find all of it.
    given.dicts.clear()
    if refusal:
        for name, value in answer_headers(refusal).items():
            response[name] = value
    return response


def render_part(request: HttpRequest, template: str, context: dict[str, Any], *, version: object) -> HttpResponse:
    """Render a part of a page for one that stays open and asks every few seconds; 304 while `version` is as it was.

    Seldom is anything new, so nothing is rendered before that is known.
    """
    etag = f'"{sha256(repr(version).encode()).hexdigest()[:32]}"'
    response = get_conditional_response(request, etag=etag)
    if response is None:
        response = render(request, template, context)
    response["ETag"] = etag
    return response


def answer_error(request: HttpRequest, error: DomainError) -> HttpResponse:
    """Answer a refusal as a page, or in the API's envelope under /api/."""
    if request.path.startswith("/api/"):
        return JsonResponse(envelope(error), status=status_of(error), headers=answer_headers(error))
    context = {"error": error, "status": status_of(error), "request_id": request_ids.current()}
    if isinstance(error, DatabaseAway):
        context["kept"] = keep_form(request)
    return render_page(request, "error.html", context, refusal=error)


@dataclass(frozen=True, slots=True)
class KeptForm:
    """A form that was sent and not taken, to be shown again with all that was typed. Nobody sends it but its author."""

    address: str
    fields: Sequence[tuple[str, str]]
    # What of it a person recognises as their own words.
    words: Sequence[str]
    # A password is not written back into a page.
    needs_password: bool


# What the site itself puts into its forms, the buttons of staff pages among it.
OUR_FIELDS = frozenset(
    {"act", "action", "approve", "form", "id", "last_sent", "leaving", "next", "reject", "settle", "show", "username"}
)
SECRET_FIELDS = ("password", "code", "otp", "token")


def keep_form(request: HttpRequest) -> KeptForm | None:
    """Return the form that a person has sent from a page of ours; None where there is nothing typed to keep.

    It lives in the page that answers and nowhere else: not in the session, not in an address, not in a log.
    """
    if request.method != "POST" or request.path.startswith("/api/"):
        return None
    try:
        sent = request.POST.lists() if _is_from_here(request) else ()
        given = [(name, value) for name, values in sent for value in values if name != "csrfmiddlewaretoken"]
    except (SuspiciousOperation, MultiPartParserError, UnreadablePostError):
        return None
    secrets = {name for name, _value in given if any(secret in name for secret in SECRET_FIELDS)}
    fields = [(name, value) for name, value in given if name not in secrets]
    typed = [value for name, value in fields if name not in OUR_FIELDS and value.strip() and not _is_id(value)]
    if not typed or secrets - {"password"}:
        return None
    words = [value for value in typed if len(value.split()) > 1]
    return KeptForm(request.path, fields, words, needs_password=bool(secrets))


def ask_to_sign_in(request: HttpRequest, back: str | None = None, *, at: str | None = None) -> HttpResponse:
    """Lead a visitor to the sign-in, or to the one `at` an address, and from there back.

    What they have typed into a form is shown again instead.
    """
    sign_in = redirect_to_login(back or request.get_full_path(), at)
    kept = keep_form(request)
    if kept is None:
        return sign_in
    return render(request, "signed_out.html", {"kept": kept, "sign_in_address": sign_in.url}, status=401)


def _is_from_here(request: HttpRequest) -> bool:
    """Tell whether a form was sent from a page of this site, as far as the browser says."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return False
    origin = request.headers.get("Origin")
    ours = {f"{request.scheme}://{request.get_host()}", *settings.CSRF_TRUSTED_ORIGINS}
    return origin is None or origin in ours


def _is_id(value: str) -> bool:
    try:
        UUID(value)
    except ValueError:
        return False
    return True


def public_page(
    view: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Show a refusal of the view as a page with its message and status. Visitors are asked to sign in."""

    @wraps(view)
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except Unauthorized:
            return ask_to_sign_in(request)
        except DomainError as refusal:
            return answer_error(request, refusal)

    return answer


class RawForm(forms.Form):
    """A form without validation of its own: the services validate, for pages and API alike."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)

    def full_clean(self) -> None:
        self._errors = ErrorDict()
        self.cleaned_data = {}

    def raw(self, name: str) -> str:
        """Return what was typed into a field, unchanged."""
        return str(self.data.get(name, ""))


class IdempotentForm(RawForm):
    """A form whose service stores what was sent once, however often it comes.

    Two clicks send the same id and the same words, and these make one key. It is the primary key of what is stored: the second
    time, the service returns the row that is there, and the database refuses another.
    """

    id = forms.Field(initial=uuid4, widget=forms.HiddenInput)

    def idempotency_key(self, *fields: str) -> UUID | None:
        """Return a key made of the form's id and these fields, or None without an id. Raises InvalidInput.

        The fields are part of it because a browser that goes back may send the same id with another text.
        """
        if not self.raw("id"):
            return None
        content = "\0".join(self.raw(field) for field in fields)
        return uuid5(parse_uuid(self.raw("id")), content.encode("utf-8", "replace").decode())


def focus_first_wrong_field(form: forms.Form) -> None:
    """Let the page open at what is to be mended; where the whole form is refused, at the sentence above it."""
    wrong = () if form.non_field_errors() else form.errors
    first = next((name for name in form.fields if name in wrong), None)
    for name, field in form.fields.items():
        field.widget.attrs["autofocus"] = name == first


class CatchRefusals:
    """Catch a refusal in the block and show it in `form`, beside the field that it is about.

    `fields` maps the service's names of fields to the form's. After the block, `error` is the refusal or None.
    """

    def __init__(self, form: forms.Form, **fields: str) -> None:
        self.form = form
        self.form_fields = fields
        self.error: DomainError | None = None

    def __enter__(self) -> "CatchRefusals":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = as_domain_error(exception) if exception else None
        if self.error is None:
            return False
        self.form.full_clean()
        if not isinstance(self.error, ValidationRefused):
            self.form.add_error(None, str(self.error.message))
            return True
        for name, found in self.error.fields.items():
            field = self.form_fields.get(name, name)
            for message in found:
                self.form.add_error(field if field in self.form.fields else None, str(message))
        focus_first_wrong_field(self.form)
        return True
