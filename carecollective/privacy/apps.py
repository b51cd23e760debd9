from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    name = "carecollective.privacy"
    verbose_name = "Members' data"
