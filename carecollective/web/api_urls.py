from django.urls import path

from carecollective.web.openapi import DocsView, SchemaView

urlpatterns = [
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view(), name="api-docs"),
]
