"""Each hot statement by hand answers as the queries of the ORM that it replaces, on generated conversations."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import models, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import messaging_v1.selectors as v1
import messaging_v2.selectors as v2
from carecollective.core.database import acting_as, fetch_one
from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.selectors import lock_help_request
from carecollective.inbox.selectors import standing_conversation
from messaging_v1.statements import PAIR_V1
from messaging_v2.locks import lock_conversation
from messaging_v2.models import Conversation, Message
from messaging_v2.services import create_conversation_atomic, send_message_v2
from messaging_v2.statements import PAIR_V2

PEOPLE, REQUESTS = range(4), range(3)
# With all that a statement could trip over.
WORDS = st.text("aB1'\"\\%{}$;,-é漢☂🙂", min_size=1, max_size=30).map("I can help: {}.".format)
SAYINGS = st.lists(st.tuples(st.sampled_from(REQUESTS), st.sampled_from(PEOPLE), st.booleans(), WORDS), max_size=8)


def columns(row: models.Model | None) -> dict[str, Any] | None:
    return None if row is None else {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


@pytest.fixture
def world(db: None, member: Any, help_request: Any, stage: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    people = [member(name=f"Member {number}") for number in PEOPLE]
    return people, [help_request(user=people[0], title=f"Request {number}") for number in REQUESTS]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sayings=SAYINGS, is_legacy=st.booleans())
def test_starts_sends_and_locks_read_and_write_as_the_orm_does(
    world: Any, legacy_conversation: Any, sayings: Any, is_legacy: bool
) -> None:
    people, requests = world
    with transaction.atomic():
        for request, person, by_owner, words in sayings:
            helper, owner = people[person], people[0]
            if helper == owner:
                continue
            key = {"help_request_id": requests[request].pk, "helper_id": helper.pk}
            with acting_as(helper):
                conversation = Conversation.objects.filter(**key).first()
            if conversation is None:
                made = create_conversation_atomic(actor=helper, initial_message=words, **key)
                with acting_as(helper):
                    assert columns(made) == columns(Conversation.objects.get(pk=made.pk))
                    assert made.initial_message == words
                continue
            sender = owner if by_owner else helper
            sent = send_message_v2(
                actor=sender, conversation_id=conversation.pk, sender_id=sender.pk, content=words
            ).message
            with acting_as(sender):
                assert columns(Message.objects.get(pk=sent.pk)) == columns(sent)
                assert Conversation.objects.get(pk=conversation.pk).updated_at == sent.created_at
        if is_legacy:
            legacy_conversation(people[1], people[0], requests[0], ["Hello"])
            legacy_conversation(people[1], people[0], requests[1], [])
        _compare_reads(people, requests)
        transaction.set_rollback(True)


def _compare_thread(reader: Any, conversation: Conversation) -> None:
    messages = list(Message.objects.filter(conversation=conversation).order_by("created_at", "pk"))
    thread = v2.read_conversation(reader=reader, conversation_id=conversation.pk, before=None)
    assert columns(thread.conversation) == columns(conversation)
    shown = thread.conversation
    assert (shown.help_request.title, shown.help_request.status) == (conversation.help_request.title, "open")
    assert (shown.helper.name, shown.requester.name) == (conversation.helper.name, conversation.requester.name)
    assert [columns(said) for said in thread.messages] == [columns(said) for said in messages]
    for place, anchor in enumerate(messages):
        named = {"reader": reader, "conversation_id": conversation.pk}
        assert v2.read_conversation(**named, before=anchor.pk).messages == messages[:place]
        assert v2.messages_after(**named, after=anchor.pk, limit=2) == messages[place + 1 : place + 3]
    assert v2.messages_after(reader=reader, conversation_id=conversation.pk, after=None, limit=2) == messages[-2:]


def _compare_reads(people: Sequence[Any], requests: Sequence[Any]) -> None:
    for request in requests:
        wanted = HelpRequest.objects.select_for_update(of=("self",), no_key=True).filter(pk=request.pk).first()
        assert columns(lock_help_request(request.pk)) == columns(wanted)
    for reader in people:
        with acting_as(reader):
            for conversation in Conversation.objects.visible_to(reader):
                assert columns(lock_conversation(conversation.pk, member=reader)) == columns(conversation)
                _compare_thread(reader, conversation)
            for request in requests:
                pair = {"help_request_id": request.pk, "helper": reader}
                new = Conversation.objects.filter(help_request=request, helper=reader).first()
                old = v1.conversation_of_pair(**pair)
                found = standing_conversation(**pair)
                standing = new or old
                assert (found and found.conversation_id) == (standing and standing.pk)
                asked = {"help_request": request.pk, "helper": reader.pk}
                assert fetch_one(PAIR_V2, asked) == ((new.pk, "v2") if new else None)
                assert fetch_one(PAIR_V1, asked) == ((old.pk, "v1") if old else None)
