from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "carecollective.core"
    verbose_name = "Care Collective"
