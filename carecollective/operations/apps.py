from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class OperationsConfig(AppConfig):
    name = "carecollective.operations"

    def ready(self) -> None:
        from carecollective.operations.drop_v2 import recreate_v2  # noqa: PLC0415
        from carecollective.operations.verification.verify import check_schema  # noqa: PLC0415 -- needs the models
        from rollout.promotion import automated_checks  # noqa: PLC0415

        post_migrate.connect(recreate_v2, sender=apps.get_app_config("messaging_v2"))
        automated_checks.register_check("schema", check_schema)
