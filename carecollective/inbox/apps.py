from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class InboxConfig(AppConfig):
    name = "carecollective.inbox"
    verbose_name = "Messages"

    def ready(self) -> None:
        from carecollective.inbox import legacy_access  # noqa: PLC0415 -- needs the models
        from carecollective.inbox.notifications import letters, requests  # noqa: PLC0415
        from carecollective.inbox.notifications.queue import CONVERSATION_NEWS, DAILY_NEWS  # noqa: PLC0415
        from carecollective.inbox.replies import letters as replies  # noqa: PLC0415
        from carecollective.inbox.replies.services import REPLY_REFUSED  # noqa: PLC0415
        from carecollective.mail import queue  # noqa: PLC0415
        from carecollective.mail.topics import Topic  # noqa: PLC0415
        from messaging_v1 import rehearsal  # noqa: PLC0415
        from rollout.guard import v1_trial  # noqa: PLC0415
        from rollout.promotion import automated_checks  # noqa: PLC0415

        automated_checks.register_check("v1", legacy_access.check_v1_access)
        v1_trial.rehearse_with(rehearsal.rehearse_conversation)
        queue.register(
            CONVERSATION_NEWS,
            title=_("News of a conversation"),
            compose=letters.compose_conversation_news,
            topic=Topic.MESSAGES,
        )
        queue.register(
            DAILY_NEWS,
            title=_("News of conversations, once a day"),
            compose=letters.compose_daily_news,
            topic=Topic.MESSAGES,
        )
        queue.register(
            REPLY_REFUSED,
            title=_("Answer by mail that was not delivered"),
            compose=replies.compose_reply_refused,
            holds_words=True,
        )
        for kind, title, compose in (
            (requests.REQUEST_OVER, _("A request is completed or withdrawn"), requests.compose_request_over),
            (requests.REQUEST_EXPIRING, _("Their request ends soon"), requests.compose_request_expiring),
            (requests.REQUEST_EXPIRED, _("Their request has ended"), requests.compose_request_expired),
        ):
            queue.register(kind, title=title, compose=compose, topic=Topic.REQUESTS)
