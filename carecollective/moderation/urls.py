from django.urls import path

from carecollective.moderation import views

urlpatterns = [
    path("messages/<uuid:conversation_id>/report", views.report_message, name="thread-report"),
]
