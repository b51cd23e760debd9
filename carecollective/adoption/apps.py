from django.apps import AppConfig


class AdoptionConfig(AppConfig):
    name = "carecollective.adoption"
