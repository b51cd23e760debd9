"""Django REST framework, bare: nested serializers above the ORM's objects."""

from typing import Any
from uuid import UUID

from django.urls import path
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.peers import answers, django_orm, models


class OfferSerializer(serializers.Serializer):
    initial_message = serializers.CharField(min_length=10, max_length=1000)


class NewMessageSerializer(serializers.Serializer):
    content = serializers.CharField(max_length=1000)


class ProfileSerializer(serializers.ModelSerializer):
    class Meta:
        model = models.Profile
        fields = ["id", "name"]


class HelpRequestSerializer(serializers.ModelSerializer):
    class Meta:
        model = models.HelpRequest
        fields = ["id", "title", "status"]


class LastMessageSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    sender_id = serializers.UUIDField()
    content = serializers.CharField()
    created_at = serializers.CharField()


class RowSerializer(serializers.ModelSerializer):
    version = serializers.ReadOnlyField(default="v2")
    help_request = HelpRequestSerializer()
    other_participant = ProfileSerializer(source="other")
    last_message = LastMessageSerializer()
    unread_count = serializers.IntegerField()

    class Meta:
        model = models.Conversation
        fields = [
            *("id", "version", "help_request", "other_participant", "status", "last_message"),
            *("unread_count", "updated_at"),
        ]


class MessageSerializer(serializers.ModelSerializer):
    sender_id = serializers.UUIDField()

    class Meta:
        model = models.Message
        fields = ["id", "sender_id", "content", "created_at", "updated_at"]


class ConversationSerializer(serializers.ModelSerializer):
    version = serializers.ReadOnlyField(default="v2")
    help_request_id = serializers.UUIDField()
    requester_id = serializers.UUIDField()
    helper_id = serializers.UUIDField()

    class Meta:
        model = models.Conversation
        fields = [
            *("id", "version", "help_request_id", "requester_id", "helper_id", "initial_message", "status"),
            *("created_at", "updated_at"),
        ]


def _acting(request: Request) -> Any:
    return django_orm.acting(request.headers.get("Authorization", ""))


class View(APIView):
    authentication_classes = ()
    permission_classes = ()

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, django_orm.NotSignedIn):
            return Response(answers.NOT_SIGNED_IN, status=401)
        return super().handle_exception(exc)


class StartView(View):
    def post(self, request: Request, request_id: UUID) -> Response:
        given = OfferSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        with _acting(request) as member:
            started = django_orm.start(member, request_id, given.validated_data["initial_message"])
        return Response(answers.started(started.pk), status=201)


class InboxView(View):
    def get(self, request: Request) -> Response:
        with _acting(request) as member:
            return Response({"results": RowSerializer(django_orm.inbox(member)[:20], many=True).data})


class ThreadView(View):
    def get(self, request: Request, conversation_id: UUID) -> Response:
        with _acting(request) as member:
            conversation, messages = django_orm.thread(member, conversation_id)
        body = ConversationSerializer(conversation).data
        return Response({"conversation": body, "messages": MessageSerializer(messages, many=True).data})


class MessagesView(View):
    def get(self, request: Request, conversation_id: UUID) -> Response:
        with _acting(request) as member:
            found = django_orm.newer(member, conversation_id, UUID(request.query_params["after"]))
        messages = MessageSerializer(found[:200], many=True).data
        body = {"messages": messages, "has_more": len(found) > 200}
        tag = answers.etag(JSONRenderer().render(body))
        if request.headers.get("If-None-Match") == tag:
            return Response(status=304, headers={"ETag": tag})
        return Response(body, headers={"ETag": tag})

    def post(self, request: Request, conversation_id: UUID) -> Response:
        given = NewMessageSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        with _acting(request) as member:
            message = django_orm.send(member, conversation_id, given.validated_data["content"])
        body = MessageSerializer(message).data
        return Response({"success": True, "message_id": message.pk, "version": "v2", "message": body}, status=201)


urlpatterns = [
    path("api/messaging/help-requests/<uuid:request_id>/start-conversation", StartView.as_view()),
    path("api/messaging/conversations", InboxView.as_view()),
    path("api/messaging/conversations/<uuid:conversation_id>", ThreadView.as_view()),
    path("api/messaging/conversations/<uuid:conversation_id>/messages", MessagesView.as_view()),
]
