from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class CoreConfig(AppConfig):
    name = "carecollective.core"
    verbose_name = "Care Collective"
    default = True


class AdminConfig(admin_apps.AdminConfig):
    default = False
    default_site = "carecollective.web.admin_site.AdminSite"
