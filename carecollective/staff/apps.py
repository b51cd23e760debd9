from django.apps import AppConfig


class StaffConfig(AppConfig):
    name = "carecollective.staff"
    verbose_name = "Staff"
