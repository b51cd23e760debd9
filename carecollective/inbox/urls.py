from django.urls import path

from carecollective.inbox import views

urlpatterns = [
    path("requests/<uuid:help_request_id>", views.show_request, name="request-detail"),
    path("messages", views.list_conversations, name="messages"),
    path("messages/<uuid:conversation_id>", views.show_thread, name="thread"),
    path("messages/<uuid:conversation_id>/continue", views.continue_in_v2, name="thread-continue"),
    path("messages/<uuid:conversation_id>/ask", views.ask_to_continue, name="thread-ask"),
    path("messages/<uuid:conversation_id>/close", views.close_conversation, name="thread-close"),
    path("messages/<uuid:conversation_id>/reopen", views.reopen_conversation, name="thread-reopen"),
]
