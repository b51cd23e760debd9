from django.apps import AppConfig


class ModerationConfig(AppConfig):
    name = "carecollective.moderation"
    verbose_name = "Reported messages"
