"""django-ninja, bare: pydantic schemas above the ORM's objects."""

from datetime import datetime
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import path
from ninja import Field, NinjaAPI, Schema

from benchmarks.peers import answers, django_orm
from benchmarks.peers.django_orm import acting

api = NinjaAPI(docs_url=None, openapi_url=None)


class Offer(Schema):
    initial_message: str = Field(min_length=10, max_length=1000)


class NewMessage(Schema):
    content: str = Field(min_length=1, max_length=1000)


class Person(Schema):
    id: UUID
    name: str


class Request(Schema):
    id: UUID
    title: str
    status: str


class LastMessage(Schema):
    id: UUID | None
    sender_id: UUID
    content: str
    created_at: datetime


class Row(Schema):
    id: UUID
    version: str = "v2"
    help_request: Request
    other_participant: Person = Field(alias="other")
    status: str
    last_message: LastMessage
    unread_count: int
    updated_at: datetime


class Inbox(Schema):
    results: list[Row]


class Message(Schema):
    id: UUID
    sender_id: UUID
    content: str
    created_at: datetime
    updated_at: datetime


class Conversation(Schema):
    id: UUID
    version: str = "v2"
    help_request_id: UUID
    requester_id: UUID
    helper_id: UUID
    initial_message: str
    status: str
    created_at: datetime
    updated_at: datetime


class Thread(Schema):
    conversation: Conversation
    messages: list[Message]


class Newer(Schema):
    messages: list[Message]
    has_more: bool


class Started(Schema):
    success: bool = True
    conversation_id: UUID
    version: str = "v2"
    message: str = "Conversation created successfully"


class Sent(Schema):
    success: bool = True
    message_id: UUID
    version: str = "v2"
    message: Message


def _token(request: HttpRequest) -> str:
    return request.headers.get("Authorization", "")


@api.exception_handler(django_orm.NotSignedIn)
def not_signed_in(request: HttpRequest, problem: Exception) -> HttpResponse:
    return api.create_response(request, answers.NOT_SIGNED_IN, status=401)


@api.post("help-requests/{uuid:request_id}/start-conversation", response={201: Started})
def start(request: HttpRequest, request_id: UUID, given: Offer):
    with acting(_token(request)) as member:
        return 201, {"conversation_id": django_orm.start(member, request_id, given.initial_message).pk}


@api.post("conversations/{uuid:conversation_id}/messages", response={201: Sent})
def send(request: HttpRequest, conversation_id: UUID, given: NewMessage):
    with acting(_token(request)) as member:
        message = django_orm.send(member, conversation_id, given.content)
    return 201, {"message_id": message.pk, "message": message}


@api.get("conversations", response=Inbox)
def inbox(request: HttpRequest):
    with acting(_token(request)) as member:
        return {"results": django_orm.inbox(member)[:20]}


@api.get("conversations/{uuid:conversation_id}", response=Thread)
def thread(request: HttpRequest, conversation_id: UUID):
    with acting(_token(request)) as member:
        conversation, messages = django_orm.thread(member, conversation_id)
    return {"conversation": conversation, "messages": messages}


@api.get("conversations/{uuid:conversation_id}/messages", response=Newer)
def poll(request: HttpRequest, conversation_id: UUID, after: UUID):
    with acting(_token(request)) as member:
        found = django_orm.newer(member, conversation_id, after)
    body = (
        Newer.model_validate({"messages": list(found[:200]), "has_more": len(found) > 200}).model_dump_json().encode()
    )
    tag = answers.etag(body)
    if request.headers.get("If-None-Match") == tag:
        return HttpResponse(status=304, headers={"ETag": tag})
    return HttpResponse(body, content_type="application/json", headers={"ETag": tag})


urlpatterns = [path("api/messaging/", api.urls)]
