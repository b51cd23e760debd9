from django.urls import path
from django.views.generic import RedirectView

from carecollective.help_requests import api, views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="requests"), name="home"),
    path("requests", views.list_help_requests, name="requests"),
    path("requests/new", views.ask_for_help, name="request-new"),
    path("requests/<uuid:help_request_id>/complete", views.complete_request, name="request-complete"),
    path("requests/<uuid:help_request_id>/cancel", views.cancel_request, name="request-cancel"),
    path("requests/<uuid:help_request_id>/reopen", views.reopen_request, name="request-reopen"),
    path("requests/<uuid:help_request_id>/keep-open", views.keep_request_open, name="request-keep-open"),
    path("api/help-requests", api.HelpRequestsView.as_view(), name="api-help-requests"),
    path("api/help-requests/<str:help_request_id>", api.HelpRequestView.as_view(), name="api-help-request"),
]
