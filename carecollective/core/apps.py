from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "carecollective.core"

    def ready(self) -> None:
        from carecollective.core import checks  # noqa: F401, PLC0415 -- registers itself
