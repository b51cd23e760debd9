from django.urls import path

from carecollective.help_requests.api import HelpRequestsView, HelpRequestView

urlpatterns = [
    path("api/help-requests", HelpRequestsView.as_view(), name="api-help-requests"),
    path("api/help-requests/<str:help_request_id>", HelpRequestView.as_view(), name="api-help-request"),
]
