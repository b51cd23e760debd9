from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ModerationConfig(AppConfig):
    name = "carecollective.moderation"
    verbose_name = "Reported messages"

    def ready(self) -> None:
        from carecollective.mail import queue  # noqa: PLC0415
        from carecollective.mail.topics import Topic  # noqa: PLC0415
        from carecollective.moderation import staff_mail  # noqa: PLC0415 -- needs the models

        queue.register(
            staff_mail.REPORTS_MAIL,
            title=_("Reports that wait"),
            compose=staff_mail.compose_reports_waiting,
            topic=Topic.REPORTS,
        )
