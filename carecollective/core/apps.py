from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class CoreConfig(AppConfig):
    name = "carecollective.core"
    verbose_name = "Care Collective"
    default = True

    def ready(self) -> None:
        from carecollective.core import checks  # noqa: F401, PLC0415 -- registers itself


class AdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "carecollective.core.admin_site.AdminSite"
