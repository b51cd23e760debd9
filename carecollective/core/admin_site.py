from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db import models

# Their tables are not for people: tokens are made by signing in, and waffle decides nothing here.
HIDDEN_APPS = frozenset({"knox", "waffle"})


class AdminSite(admin.AdminSite):
    """Django's admin under our name, without what nobody may change by hand."""

    site_header = "Care Collective staff"
    site_title = "Care Collective staff"
    index_title = "What needs you"

    def register(
        self,
        model_or_iterable: type[models.Model] | Iterable[type[models.Model]],
        admin_class: Any = None,
        **options: Any,
    ) -> None:
        given = [model_or_iterable] if isinstance(model_or_iterable, type) else list(model_or_iterable)
        shown = [model for model in given if model._meta.app_label not in HIDDEN_APPS]
        super().register(shown, admin_class, **options)
