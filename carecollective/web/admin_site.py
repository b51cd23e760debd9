"""The staff site at /admin/: Django's admin with pages of our own, and what its model pages share."""

import logging
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth import REDIRECT_FIELD_NAME, authenticate, update_session_auth_hash
from django.contrib.auth.views import LoginView, PasswordChangeView, redirect_to_login
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db import DataError, models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import SimpleTemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.translation import gettext_lazy as _

from carecollective.core.errors import NotPermitted, RateLimitExceeded
from carecollective.core.text import EMAIL_MAX
from carecollective.web.pages import answer_error, ask_to_sign_in, keep_form

logger = logging.getLogger(__name__)

# Not shown: tokens are made by signing in, waffle decides nothing here, and whoever could write a member's address or second
# factor could sign in as them.
HIDDEN_APPS = frozenset({"account", "knox", "mfa", "waffle"})


class AdminSignInForm(AdminAuthenticationForm):
    """Django's sign-in form, with the length of the address checked on the server too."""

    def clean_username(self) -> str:
        username = str(self.cleaned_data["username"]).strip().lower()
        if len(username) > EMAIL_MAX:
            raise forms.ValidationError(_("Please check your e-mail address."))
        return username


class AdminPasswordForm(AdminPasswordChangeForm):
    """Django's form, with the old password checked by `authenticate`, which counts failures."""

    def __init__(self, *args: Any, request: HttpRequest, **options: Any) -> None:
        self.request = request
        super().__init__(*args, **options)

    def clean_old_password(self) -> str:
        given = str(self.cleaned_data["old_password"])
        found = authenticate(self.request, username=self.user.get_username(), password=given)
        if found is None or found.pk != self.user.pk:
            raise forms.ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        self.user = found
        return given


class PasswordPage(PasswordChangeView):
    """Change one's own password, unless the account was changed meanwhile."""

    form_class = AdminPasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"request": self.request}

    def form_valid(self, form: Any) -> HttpResponse:
        if not form.user.replace_password(form.cleaned_data["new_password1"]):
            form.add_error("old_password", _("Your account was changed meanwhile. Please sign in again."))
            return self.form_invalid(form)
        update_session_auth_hash(self.request, form.user)
        return HttpResponseRedirect(self.get_success_url())


class AdminSignInPage(LoginView):
    """Sign in on the staff site's own page; the second factor is asked for where there is one."""

    def form_valid(self, form: Any) -> HttpResponse:
        if site.continue_sign_in is None:
            return super().form_valid(form)
        return site.continue_sign_in(self.request, form.get_user(), self.get_success_url())


class AdminSite(admin.AdminSite):
    """Django's admin with pages of ours, without the models of HIDDEN_APPS."""

    site_header = "Care Collective staff"
    site_title = "Care Collective staff"
    index_title = "All records"
    login_form = AdminSignInForm
    # Set by the accounts app, which this package may not import.
    continue_sign_in: Callable[[HttpRequest, Any, str], HttpResponse] | None = None
    lacks_second_factor: Callable[[HttpRequest], bool] | None = None

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self._pages: list[URLPattern] = []

    def register_page(self, route: str, view: Callable[..., HttpResponse], name: str | None = None) -> None:
        """Serve a page for staff below /admin/, before the pages that the admin itself has there."""
        self._pages.append(path(route, self.admin_view(view), name=name))

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [*self._pages, *super().get_urls()]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Answer 400 for values in an address or form that no column can hold. Keep what was typed when the session ended."""
        guarded = super().admin_view(view, cacheable)

        @wraps(guarded)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.user.is_anonymous and keep_form(request):
                return ask_to_sign_in(request, at=reverse("admin:login", current_app=self.name))
            try:
                response = guarded(request, *args, **kwargs)
                # Render here, so that errors of lazy queries are caught too.
                return response.render() if isinstance(response, SimpleTemplateResponse) else response
            except RateLimitExceeded as refusal:
                return answer_error(request, refusal)
            except (ValueError, OverflowError, ValidationError, DataError) as error:
                logger.warning("The admin could not take what it was given", exc_info=error)
                raise SuspiciousOperation("a value that no column can hold") from error

        return answer

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Let staff sign in, unless too many sign-ins failed from their address. Tell members that it is for staff.

        Who is signed in, and needs a second factor that this session was begun without, is led to where they add one.
        """
        if request.method == "GET" and request.user.is_authenticated and not getattr(request.user, "is_staff", False):
            return answer_error(request, NotPermitted(_("These pages are for staff. You are signed in as a member.")))
        index = reverse("admin:index", current_app=self.name)
        wanted = request.GET.get(REDIRECT_FIELD_NAME) or index
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(index)
        if super().has_permission(request) and not self.has_permission(request):
            return redirect_to_login(wanted, reverse("mfa_index"))
        context = {
            **self.each_context(request),
            "title": _("Log in"),
            "subtitle": None,
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            REDIRECT_FIELD_NAME: wanted,
            **(extra_context or {}),
        }
        page = AdminSignInPage.as_view(
            extra_context=context, authentication_form=self.login_form, template_name="admin/login.html"
        )
        request.current_app = self.name
        try:
            return cast("HttpResponse", page(request))
        except RateLimitExceeded as refusal:
            return answer_error(request, refusal)

    def has_permission(self, request: HttpRequest) -> bool:
        """Open the site to active staff, with their second factor where it is required."""
        may = super().has_permission(request)
        return may and not (self.lacks_second_factor is not None and self.lacks_second_factor(request))

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Let staff choose a new password for themselves."""
        page = PasswordPage.as_view(
            template_name="registration/password_change_form.html",
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return page(request)

    def register(
        self,
        model_or_iterable: type[models.Model] | Iterable[type[models.Model]],
        admin_class: Any = None,
        **options: Any,
    ) -> None:
        given = [model_or_iterable] if isinstance(model_or_iterable, type) else list(model_or_iterable)
        shown = [model for model in given if model._meta.app_label not in HIDDEN_APPS]
        super().register(shown, admin_class, **options)


site = cast("AdminSite", admin.site)


class StaffViewMixin:
    """Every member of staff may view it."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_active and getattr(request.user, "is_staff", False))


class ReadOnlyMixin:
    """Nobody adds, changes or deletes it in the admin."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(StaffViewMixin, ReadOnlyMixin, admin.ModelAdmin):  # type: ignore[type-arg]
    """Staff may view it; nobody changes it here."""

    actions = None
