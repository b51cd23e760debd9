from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "carecollective.accounts"
    verbose_name = "Members"

    def ready(self) -> None:
        from carecollective.accounts import passwords  # noqa: PLC0415 -- needs the models
        from carecollective.mail import queue  # noqa: PLC0415

        queue.register(
            passwords.LINK_MAIL, title=_("Link to choose a password"), compose=passwords.compose_password_link
        )
