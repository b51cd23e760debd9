from django.apps import AppConfig


class MessagingV1Config(AppConfig):
    name = "messaging_v1"
