from django.apps import AppConfig


class SafetyConfig(AppConfig):
    name = "carecollective.safety"
    verbose_name = "Safety"
