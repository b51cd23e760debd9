from django.contrib.admin import apps


class AdminConfig(apps.AdminConfig):
    default = False
    default_site = "carecollective.web.admin_site.AdminSite"
