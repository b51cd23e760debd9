from django.urls import path

from carecollective.moderation import api, views

urlpatterns = [
    path("messages/<uuid:conversation_id>/report", views.report_message, name="thread-report"),
    path("messages/<uuid:conversation_id>/participant/report", views.report_participant, name="thread-report-member"),
    path("requests/<uuid:help_request_id>/report", views.report_request, name="request-report"),
    path("api/messaging/conversations/<str:conversation_id>/report", api.ReportView.as_view(), name="api-report"),
]
