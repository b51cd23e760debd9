from django.urls import path

from carecollective.inbox import api, views
from carecollective.inbox.closing import api as closing_api
from carecollective.inbox.closing import views as closing_views
from carecollective.inbox.mine import views as mine
from carecollective.inbox.unread import views as unread

CONVERSATION = "api/messaging/conversations/<str:conversation_id>"

# What is asked for most comes first.
urlpatterns = [
    path(
        "api/messaging/help-requests/<str:help_request_id>/start-conversation",
        api.StartConversationView.as_view(),
        name="api-start-conversation",
    ),
    path("api/messaging/conversations", api.ConversationsView.as_view(), name="api-conversations"),
    path(CONVERSATION, api.ConversationView.as_view(), name="api-conversation"),
    path(f"{CONVERSATION}/messages", api.MessagesView.as_view(), name="api-messages"),
    path("messages", unread.list_conversations, name="messages"),
    path("messages/<uuid:conversation_id>", views.show_thread, name="thread"),
    path("messages/<uuid:conversation_id>/latest", views.show_latest, name="thread-latest"),
    path("requests/<uuid:help_request_id>", views.show_request, name="request-detail"),
    path(f"{CONVERSATION}/continue", api.ContinueView.as_view(), name="api-continue"),
    path(f"{CONVERSATION}/ask", api.AskView.as_view(), name="api-ask"),
    path(f"{CONVERSATION}/read", api.ReadView.as_view(), name="api-read"),
    path(f"{CONVERSATION}/close", closing_api.CloseView.as_view(), name="api-close"),
    path(f"{CONVERSATION}/reopen", closing_api.ReopenView.as_view(), name="api-reopen"),
    path(f"{CONVERSATION}/block", closing_api.BlockView.as_view(), name="api-block"),
    path(f"{CONVERSATION}/unblock", closing_api.UnblockView.as_view(), name="api-unblock"),
    path("messages/<uuid:conversation_id>/thank", mine.thank_helper, name="thread-thank"),
    path("my/requests", mine.my_requests, name="my-requests"),
    path("my/offers", mine.my_offers, name="my-offers"),
    path("messages/latest", unread.show_latest_list, name="messages-latest"),
    path("messages/<uuid:conversation_id>/continue", views.continue_in_v2, name="thread-continue"),
    path("messages/<uuid:conversation_id>/ask", views.ask_to_continue, name="thread-ask"),
    path("messages/<uuid:conversation_id>/close", closing_views.close_conversation, name="thread-close"),
    path("messages/<uuid:conversation_id>/reopen", closing_views.reopen_conversation, name="thread-reopen"),
    path("messages/<uuid:conversation_id>/block", closing_views.block_other, name="thread-block"),
    path("messages/<uuid:conversation_id>/unblock", closing_views.unblock_other, name="thread-unblock"),
    path("messages/<uuid:conversation_id>/unread", unread.mark_unread, name="thread-unread"),
    path("messages/<uuid:conversation_id>/archive", unread.archive, name="thread-archive"),
    path("messages/<uuid:conversation_id>/unarchive", unread.unarchive, name="thread-unarchive"),
]
