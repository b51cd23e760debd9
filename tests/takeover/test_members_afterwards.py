"""What members meet after the take-over: their passwords, their conversations, their words."""

import json
from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import check_password
from django.test import Client, RequestFactory

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.selectors import list_conversations, open_thread
from carecollective.inbox.services import offer_help
from carecollective.messaging.errors import ConversationNotFound
from carecollective.takeover.legacy import SAMPLE
from tests.takeover.conftest import LONG_PASSWORD

LEFT_BY_EWAN = "f2f30c81-bff8-4c67-a32f-c0db643b40cc"
REQUEST_GONE = "447e6053-40fc-4909-82f8-b842e8621325"
NEVER_ARRIVED = "2aa5ab12-1723-4304-9f66-a3fa662cade8"
MODERATED = "08a78b52-34e6-4cb7-94db-ce7c9d9e24d1"
DUPLICATE = "ccc13e7c-9045-4763-9c72-d835e496b24b"
TAGS = "d985b783-7785-4c89-8307-03163bc28e15"
LINES = "3b591a63-8297-4c55-85c0-902ceb6237ac"


def sign_in(email, password):
    return authenticate(RequestFactory().post("/login"), username=email, password=password)


def the(name):
    return User.objects.get(name__startswith=name)


def thread_of(name, key):
    return open_thread(reader=the(name), conversation_id=key, mark_read=False)


def test_every_member_has_the_password_they_had(adopted):
    members = User.objects.filter(password__startswith="legacy_bcrypt$$2a$10$")
    assert members.count() == 40
    wrong = [
        member.email
        for member in members
        if not check_password(f"legacy-{str(member.email).split('@')[0]}", member.password)
    ]
    assert wrong == []


@pytest.mark.parametrize("email", ["amina@example.org", " Malgorzata@Example.ORG ", "hana@example.org"])
def test_a_legacy_password_is_hashed_anew_at_the_first_sign_in(adopted, email):
    name = email.strip().lower().split("@")[0]
    assert sign_in(email, f"legacy-{name}-wrong") is None
    assert User.objects.get(email=email.strip().lower()).password.startswith("legacy_bcrypt$")
    member = sign_in(email, f"legacy-{name}")
    assert member is not None
    assert User.objects.get(pk=member.pk).password.startswith("argon2$")
    assert sign_in(email, f"legacy-{name}") == member
    assert sign_in(email, f"legacy-{name}-wrong") is None


def test_a_password_longer_than_the_legacy_system_counted_signs_in(adopted):
    assert sign_in("long@example.org", LONG_PASSWORD[:30]) is None
    assert sign_in("long@example.org", LONG_PASSWORD) == the("Lena")
    assert sign_in("long@example.org", LONG_PASSWORD) == the("Lena")
    assert sign_in("long@example.org", LONG_PASSWORD + "x") is None, "from now on every character counts"


def test_an_argon2_hash_signs_in_as_well(adopted):
    assert sign_in("argon@example.org", "legacy-argon-wrong") is None
    assert sign_in("argon@example.org", "legacy-argon") == the("Argon")


@pytest.mark.parametrize("email", ["unset@example.org", "odd@example.org", "nobody@example.org", ""])
@pytest.mark.parametrize("password", ["", "!", "legacy-zora", "sha1$not-of-ours"])
def test_where_there_is_no_password_none_signs_in(adopted, email, password):
    assert sign_in(email, password) is None


def test_of_two_sign_ins_with_one_address_the_older_signs_in(adopted):
    assert sign_in("ZORA@example.org", "legacy-zora") == the("The older Zora")


def test_all_sixteen_conversations_are_seen(adopted):
    seen = {row.id for member in User.objects.all() for row in list_conversations(reader=member, size=100).rows}
    assert len(seen) == 16


def test_who_left_no_longer_sees_the_conversation(adopted):
    assert LEFT_BY_EWAN not in {str(row.id) for row in list_conversations(reader=the("Ewan")).rows}
    with pytest.raises(ConversationNotFound):
        thread_of("Ewan", LEFT_BY_EWAN)
    found = thread_of("Dmitri", LEFT_BY_EWAN)
    assert found.read_only == "other_left"
    assert [message.content for message in found.messages if message.is_withheld] == ["This message was deleted."]


def test_a_conversation_whose_request_is_gone_is_read(adopted):
    found = thread_of("Otto", REQUEST_GONE)
    assert (found.help_request, found.other_participant.name) == (None, "Tess Van der Berg")
    assert len(found.messages) == 2


def test_a_conversation_whose_first_message_never_arrived_is_read(adopted):
    found = thread_of("Quentin", NEVER_ARRIVED)
    assert (list(found.messages), found.conversation.initial_message) == ([], None)
    row = next(row for row in list_conversations(reader=the("Quentin")).rows if str(row.id) == NEVER_ARRIVED)
    assert row.last_message is None


def test_both_of_a_duplicate_pair_are_seen(adopted):
    seen = {str(row.id) for row in list_conversations(reader=the("Fatima")).rows}
    assert {MODERATED, DUPLICATE} <= seen


def test_a_moderated_message_is_not_shown(adopted):
    last = thread_of("Abel", MODERATED).messages[-1]
    assert (last.content, last.is_withheld) == ("This message was removed by a moderator.", True)


def test_what_was_written_appears_as_it_was_written(adopted):
    assert thread_of("Jonah", TAGS).messages[0].content == "I can do it 😊 <b>any</b> evening after six"
    assert "That's very kind.\nThe gate code is on the note." in [
        message.content for message in thread_of("Samir", LINES).messages
    ]
    written = (Path(SAMPLE) / "data.sql").read_text(encoding="utf-8").replace("''", "'")
    for text in [*User.objects.filter(email__isnull=False).values_list("name", flat=True)]:
        assert text in written or text in {"The older Zora", "Lena", "Una", "Odd", "Argon"}
    for title, description in HelpRequest.objects.values_list("title", "description"):
        assert f"'{title}'" in written
        assert description is None or f"'{description}'" in written
    assert {"Maeve O'Connell", "Zoë Marchetti", "Małgorzata Wójcik"} <= set(User.objects.values_list("name", flat=True))


def test_pages_show_tags_as_text(adopted):
    client = Client()
    client.force_login(the("Jonah"), backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(f"/messages/{TAGS}").content.decode()
    assert "😊 &lt;b&gt;any&lt;/b&gt; evening" in page
    assert "<b>any</b>" not in page
    answer = client.get(f"/api/messaging/conversations/{TAGS}").content
    assert json.loads(answer)["messages"][0]["content"] == "I can do it 😊 <b>any</b> evening after six"


def test_offering_help_works_beside_a_broken_conversation(adopted, stage):
    stage("disabled")
    orphaned = HelpRequest.objects.get(title="Borrow a folding table")
    started = offer_help(
        actor=the("Quentin"), help_request_id=orphaned.pk, initial_message="Let me try that again, hello!"
    )
    assert str(started.conversation_id) != NEVER_ARRIVED
    assert started.version == "v1"
