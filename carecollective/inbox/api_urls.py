from django.urls import path

from carecollective.inbox import api

CONVERSATION = "api/messaging/conversations/<str:conversation_id>"

urlpatterns = [
    path(
        "api/messaging/help-requests/<str:help_request_id>/start-conversation",
        api.StartConversationView.as_view(),
        name="api-start-conversation",
    ),
    path("api/messaging/conversations", api.ConversationsView.as_view(), name="api-conversations"),
    path(CONVERSATION, api.ConversationView.as_view(), name="api-conversation"),
    path(f"{CONVERSATION}/messages", api.MessagesView.as_view(), name="api-messages"),
    path(f"{CONVERSATION}/continue", api.ContinueView.as_view(), name="api-continue"),
    path(f"{CONVERSATION}/ask", api.AskView.as_view(), name="api-ask"),
    path(f"{CONVERSATION}/read", api.ReadView.as_view(), name="api-read"),
]
