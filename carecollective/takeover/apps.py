from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TakeoverConfig(AppConfig):
    name = "carecollective.takeover"
    label = "adoption"  # of the tables and migrations that exist

    def ready(self) -> None:
        from carecollective.takeover.what_runs import record_what_runs  # noqa: PLC0415 -- needs the models

        post_migrate.connect(record_what_runs, sender=self)
