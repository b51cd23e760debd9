from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TakeoverConfig(AppConfig):
    name = "carecollective.takeover"
    label = "adoption"  # the label of existing tables and migrations

    def ready(self) -> None:
        from carecollective.takeover.services import record_legacy_code  # noqa: PLC0415 -- needs the models

        post_migrate.connect(record_legacy_code, sender=self)
