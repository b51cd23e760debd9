from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PrivacyConfig(AppConfig):
    name = "carecollective.privacy"
    verbose_name = "Members' data"

    def ready(self) -> None:
        from carecollective.mail import queue  # noqa: PLC0415
        from carecollective.privacy import exports  # noqa: PLC0415 -- needs the models

        queue.register(
            exports.EXPORT_READY, title=_("Copy of their data is ready"), compose=exports.compose_export_ready
        )
