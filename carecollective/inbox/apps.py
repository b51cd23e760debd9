from django.apps import AppConfig


class InboxConfig(AppConfig):
    name = "carecollective.inbox"
    verbose_name = "Messages"
