from django.apps import AppConfig


class ServingConfig(AppConfig):
    name = "carecollective.serving"
    verbose_name = "Serving"

    def ready(self) -> None:
        from carecollective.serving import startup_checks  # noqa: F401, PLC0415 -- registers its system check
