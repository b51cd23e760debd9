"""What every page shares: refusals shown as pages, and forms that keep what was typed."""

from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from types import TracebackType
from typing import Any, Concatenate, ParamSpec
from uuid import UUID, uuid4, uuid5

from django import forms
from django.contrib.auth.views import redirect_to_login
from django.forms.utils import ErrorDict
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response

from carecollective.core.errors import (
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
        # The database may be away: what was typed is shown again without asking it for the count in the header.
        context = context | {"unread": ""}
    response = render(request, template, context, status=status)
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
    return render_page(request, "error.html", context, refusal=error)


def public_page(
    view: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Show a refusal of the view as a page with its message and status. Visitors are asked to sign in."""

    @wraps(view)
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except Unauthorized:
            return redirect_to_login(request.get_full_path())
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
    """A form that can be sent twice without being stored twice."""

    id = forms.Field(initial=uuid4, widget=forms.HiddenInput)

    def idempotency_key(self, *fields: str) -> UUID | None:
        """Return a key made of the form's id and these fields, or None without an id. Raises InvalidInput.

        The fields are part of it because a browser that goes back may send the same id with another text.
        """
        if not self.raw("id"):
            return None
        content = "\0".join(self.raw(field) for field in fields)
        return uuid5(parse_uuid(self.raw("id")), content.encode("utf-8", "replace").decode())


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
        return True
