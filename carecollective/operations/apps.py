from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "carecollective.operations"

    def ready(self) -> None:
        from carecollective.operations.verification import find_schema  # noqa: PLC0415 -- needs the models
        from rollout import evidence  # noqa: PLC0415

        evidence.judge_schema_with(find_schema)
