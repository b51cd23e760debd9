from django.apps import AppConfig


class HelpRequestsConfig(AppConfig):
    name = "carecollective.help_requests"
    verbose_name = "Help requests"
