from django.apps import AppConfig


class MailConfig(AppConfig):
    name = "carecollective.mail"
    verbose_name = "Mail"
