"""What django-allauth asks of this site: mail by the queue, limits in the database, members in `profiles`."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context as current
from django.contrib.auth import authenticate, login
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _

from carecollective.accounts.models import User
from carecollective.accounts.sign_in import codes
from carecollective.accounts.sign_in.mails import CODES
from carecollective.accounts.taken_address import tell_member
from carecollective.core.client_ip import client_ip
from carecollective.core.rate_limits import count_mailbox_use
from carecollective.mail.queue import queue_mail_in_constant_time

BACKEND = "carecollective.accounts.authentication.LimitedBackend"
# Over a Unix socket nobody has an address.
UNKNOWN_IP = "0.0.0.0"  # noqa: S104
STAGES = "carecollective.accounts.allauth.stages"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """allauth's account flows on this site."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "incorrect_code": _("This is not the code that we sent. Please look once more."),
        "incorrect_password": _("This is not your password. Please try again."),
        "duplicate_email": _("This is your address already."),
        "email_taken": _("This address belongs to another member."),
    }

    # Mail

    def generate_login_code(self) -> str:
        return codes.new_reference()

    generate_email_verification_code = generate_login_code

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Queue a mail, which the worker writes. Nothing of `context` is stored but the reference of a code.

        An unknown address takes as long as a member's. Raises RateLimitExceeded after too many codes to one address.
        """
        kind = template_prefix.rpartition("/")[2]
        is_asked_for = kind in CODES or kind in ("unknown_account", "account_already_exists")
        with transaction.atomic():
            if is_asked_for:
                count_mailbox_use(email)
            member = None if kind == "unknown_account" else context.get("user") or self._recipient(email)
            if kind == "account_already_exists" and member is not None:
                tell_member(member)
                return
            # The new address, which is not the member's yet, or the old one, which was.
            address = email if kind in ("email_confirmation", "email_changed") else ""
            queue_mail_in_constant_time(kind, member and member.pk, reference=context.get("code", ""), address=address)

    def _recipient(self, email: str) -> Any:
        """Return whom a mail to this address is about: its member, or who is changing to it."""
        found = User.objects.filter(email=email.lower(), is_active=True).first()
        request = current.request
        return found or (request.user if request is not None and request.user.is_authenticated else None)

    # Limits and addresses

    def is_safe_url(self, url: str | None) -> bool:
        """Accept only paths of this site; allauth accepts other hosts of ours, and fails on `http://[`."""
        return bool(url) and str(url).startswith("/") and url_has_allowed_host_and_scheme(url, allowed_hosts=None)

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_ip(request) or UNKNOWN_IP

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Do nothing: LimitedBackend and axes count."""

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Any:
        return authenticate(request, username=credentials.get("email"), password=credentials.get("password"))

    def reauthenticate(self, user: AbstractBaseUser, password: str) -> bool:
        """Check the password of who is signed in. Failures count like failed sign-ins."""
        return bool(authenticate(current.request, username=user.get_username(), password=password) == user)

    # Members

    def login(self, request: HttpRequest, user: User) -> None:
        # Sessions name the backend by its path: allauth would name the first, which is axes'.
        login(request, user, backend=BACKEND)

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        return redirect("login")

    def get_login_stages(self) -> list[str]:
        return [f"{STAGES}.RememberAccount", *super().get_login_stages(), f"{STAGES}.CheckAccount"]

    def get_email_verification_redirect_url(self, email_address: Any) -> str:
        return "/account?saved=email"

    def add_message(self, *args: Any, **options: Any) -> None:
        """Do nothing: our pages show no messages, and the admin would show them all at once later."""
