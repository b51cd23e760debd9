"""The tables as Django's models, for the two peers that are built on its ORM."""

import uuid

from django.db import models


class ClockTimestamp(models.Func):
    function = "clock_timestamp"
    output_field = models.DateTimeField()


class Profile(models.Model):
    id = models.UUIDField(primary_key=True)
    name = models.TextField()
    is_active = models.BooleanField()

    class Meta:
        managed = False
        db_table = "profiles"


class Token(models.Model):
    digest = models.CharField(primary_key=True, max_length=128)
    user = models.ForeignKey(Profile, models.DO_NOTHING)
    expiry = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "knox_authtoken"


class HelpRequest(models.Model):
    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(Profile, models.DO_NOTHING)
    title = models.TextField()
    status = models.TextField()

    class Meta:
        managed = False
        db_table = "help_requests"


class Conversation(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    help_request = models.ForeignKey(HelpRequest, models.DO_NOTHING)
    requester = models.ForeignKey(Profile, models.DO_NOTHING, related_name="+")
    helper = models.ForeignKey(Profile, models.DO_NOTHING, related_name="+")
    initial_message = models.TextField()
    status = models.TextField(default="active")
    created_at = models.DateTimeField(db_default=ClockTimestamp())
    updated_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        managed = False
        db_table = "conversations_v2"


class Message(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    conversation = models.ForeignKey(Conversation, models.DO_NOTHING, related_name="messages")
    sender = models.ForeignKey(Profile, models.DO_NOTHING, related_name="+")
    content = models.TextField()
    created_at = models.DateTimeField(db_default=ClockTimestamp())
    updated_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        managed = False
        db_table = "messages_v2"


class ReadPointer(models.Model):
    pk = models.CompositePrimaryKey("member_id", "conversation_id")
    member_id = models.UUIDField()
    conversation_id = models.UUIDField()
    read_to = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "inbox_readpointer"
