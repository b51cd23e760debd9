"""What every page shares: refusals answered as pages, and forms that keep what was typed."""

from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec
from uuid import UUID, uuid4, uuid5

from django import forms
from django.contrib.auth.views import redirect_to_login
from django.forms.utils import ErrorDict
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from carecollective.core.errors import DomainError, Unauthorized, ValidationRefused, answer_headers, as_domain_error
from carecollective.core.pagination import Cursor
from carecollective.web.api import parse_uuid
from carecollective.web.views import answer_error

P = ParamSpec("P")


def page(
    view: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Answer what the view's services refuse as a page with its sentence and status; a visitor is asked to sign in."""

    @wraps(view)
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except Unauthorized:
            return redirect_to_login(request.get_full_path())
        except DomainError as refusal:
            return answer_error(request, refusal)

    return answer


class TypedForm(forms.Form):
    """A form that shows its fields and keeps what was typed. It judges nothing: the services do, for pages and API alike."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)

    def full_clean(self) -> None:
        self._errors = ErrorDict()
        self.cleaned_data = {}

    def typed(self, name: str) -> str:
        """Return what was sent for a field, as it came."""
        return str(self.data.get(name, ""))


class OnceForm(TypedForm):
    """A form with an idempotency key, so that the database takes the same form once however often it is sent."""

    id = forms.Field(initial=uuid4, widget=forms.HiddenInput)

    def key_of(self, *fields: str) -> UUID | None:
        """Return the key of what these fields hold, or None for a form without a key. Raises InvalidInput for a made-up one.

        A browser that goes back may keep the form's key: other words in it are something else.
        """
        if not self.typed("id"):
            return None
        words = "\0".join(self.typed(field) for field in fields)
        return uuid5(parse_uuid(self.typed("id")), words.encode("utf-8", "replace").decode())


class Refusable:
    """A block in which a refusal goes into `form`, beside the field it is about, instead of up.

    `fields` renames what the service calls differently from the form. After the block, `error` is the refusal or None.
    """

    def __init__(self, form: forms.Form, **fields: str) -> None:
        self.form = form
        self.fields = fields
        self.error: DomainError | None = None

    def __enter__(self) -> "Refusable":
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
        for name, sentences in self.error.fields.items():
            field = self.fields.get(name, name)
            for sentence in sentences:
                self.form.add_error(field if field in self.form.fields else None, str(sentence))
        return True


def render_page(
    request: HttpRequest, template: str, context: dict[str, Any], *, refusal: DomainError | None = None
) -> HttpResponse:
    """Render a page, with the status of the refusal that it shows."""
    response = render(request, template, context, status=refusal.status if refusal else 200)
    if refusal:
        for name, value in answer_headers(refusal).items():
            response[name] = value
    return response


def parse_cursor(request: HttpRequest) -> Cursor | None:
    """Return the place that the address asks for. Raises ValidationRefused for one that is no cursor."""
    text = request.GET.get("cursor", "")
    return Cursor.parse(text) if text else None
