from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AdoptionConfig(AppConfig):
    name = "carecollective.adoption"

    def ready(self) -> None:
        from carecollective.adoption.what_runs import record_what_runs  # noqa: PLC0415 -- needs the models

        post_migrate.connect(record_what_runs, sender=self)
