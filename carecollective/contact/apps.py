from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ContactConfig(AppConfig):
    name = "carecollective.contact"
    verbose_name = "Contact"

    def ready(self) -> None:
        from carecollective.contact import services  # noqa: PLC0415 -- needs the models
        from carecollective.mail import queue  # noqa: PLC0415
        from carecollective.mail.topics import Topic  # noqa: PLC0415

        queue.register(
            services.WAITING_MAIL,
            title=_("Somebody wrote to staff"),
            compose=services.compose_messages_waiting,
            topic=Topic.REPORTS,
        )
