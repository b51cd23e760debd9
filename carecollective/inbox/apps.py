from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class InboxConfig(AppConfig):
    name = "carecollective.inbox"
    verbose_name = "Messages"

    def ready(self) -> None:
        from carecollective.inbox import legacy_access, notifications  # noqa: PLC0415 -- needs the models
        from carecollective.mail import queue  # noqa: PLC0415
        from messaging_v1 import rehearsal  # noqa: PLC0415
        from rollout.guard import v1_trial  # noqa: PLC0415
        from rollout.promotion import automated_checks  # noqa: PLC0415

        automated_checks.register_check("v1", legacy_access.check_v1_access)
        v1_trial.rehearse_with(rehearsal.rehearse_conversation)
        queue.register(
            notifications.SOMETHING_NEW,
            title=_("Something new in Messages"),
            compose=notifications.compose_something_new,
        )
