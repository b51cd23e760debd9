from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "carecollective.accounts"
    verbose_name = "Members"
