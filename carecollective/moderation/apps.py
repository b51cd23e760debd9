from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ModerationConfig(AppConfig):
    name = "carecollective.moderation"
    verbose_name = "Reports"

    def ready(self) -> None:
        from carecollective.mail import queue  # noqa: PLC0415
        from carecollective.mail.topics import Topic  # noqa: PLC0415
        from carecollective.moderation import acts, letters, services, staff_mail  # noqa: PLC0415 -- needs the models

        queue.register(
            staff_mail.REPORTS_MAIL,
            title=_("Reports that wait"),
            compose=staff_mail.compose_reports_waiting,
            topic=Topic.REPORTS,
        )
        queue.register(
            acts.NOTICE, title=_("What staff did about them"), compose=letters.compose_notice, to_inactive=True
        )
        queue.register(
            services.REPORT_SETTLED, title=_("What came of their report"), compose=letters.compose_report_settled
        )
