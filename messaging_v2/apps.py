from django.apps import AppConfig


class MessagingV2Config(AppConfig):
    name = "messaging_v2"
