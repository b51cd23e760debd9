"""An erasure removes a member's data from every table, and keeps what others wrote."""

import threading
import time
from uuid import uuid4

import psycopg
import pytest
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection, connections, transaction
from django.test import Client
from knox.models import AuthToken

from carecollective.accounts.models import User
from carecollective.core.database import acting_as
from carecollective.core.errors import NotPermitted
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.selectors import list_conversations, open_thread
from carecollective.inbox.services import offer_help, send_message
from carecollective.privacy import erasure
from carecollective.privacy.forms import ErasureForm
from carecollective.privacy.models import Erasure, Export, ExportFile
from tests.hostile.forms import forms_of
from tests.privacy.leaving import PASSWORD, TRACES, erase
from tests.privacy.stored import stored
from tests.waiting import wait_for

SENTENCE = "This message was removed: its author has left Care Collective."


def test_legacy_triggers_without_a_schema_stop_no_erasure(zerlina, life, signed_in, beyond_policies):
    with beyond_policies() as cursor:
        cursor.execute(
            "CREATE TABLE public.audit (at timestamptz);"
            "CREATE FUNCTION public.note_it() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
            " $$ BEGIN INSERT INTO audit VALUES (now()); RETURN NEW; END $$"
        )
        for table in ("profiles", "messages", "help_requests", "messaging_preferences"):
            cursor.execute(
                f"CREATE TRIGGER note_it BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION public.note_it()"
            )
    erase(zerlina, signed_in)
    assert User.objects.get(pk=zerlina.pk).name == "Former member"


def test_a_second_click_says_goodbye_too_and_to_nobody_else(zerlina, member, signed_in):
    """The first click has signed the member out; the form holds their signed id."""
    client = signed_in(zerlina, enforce_csrf_checks=True)
    page = client.get("/account/erase")
    form = next(form for form in forms_of("/", page.content.decode()) if "leaving" in form.fields).fields
    form |= {"password": PASSWORD, "csrfmiddlewaretoken": page.context["csrf_token"]}
    for _click in range(2):
        answer = client.post("/account/erase", form)
        assert (answer.status_code, answer["Location"]) == (302, "/account/erased")
    assert "Your account is deleted" in client.get("/account/erased").content.decode()
    for leaving in ("", str(zerlina.pk), form["leaving"] + "x"):
        answer = client.post("/account/erase", form | {"leaving": leaving})
        assert answer["Location"].startswith("/login")
    signed_out = Client().post("/account/erase", {"leaving": ErasureForm.of(member()).initial["leaving"]})
    assert signed_out["Location"].startswith("/login")


def test_the_search_finds_what_there_is_before(life, find_everywhere):
    tables = {line.split(":")[0] for line in find_everywhere(*TRACES)}
    assert tables == {
        "auth.users",
        "public.account_emailaddress",
        "public.axes_accessattempt",
        "public.conversations",
        "public.conversations_v2",
        "public.django_admin_log",
        "public.help_requests",
        "public.message_reports",
        "public.messages",
        "public.messages_v2",
        "public.moderation_report",
        "public.profiles",
    }


def test_nothing_of_the_member_is_left_in_any_table(zerlina, life, signed_in, find_everywhere):
    _client, response = erase(zerlina, signed_in)
    assert (response.status_code, response["Location"]) == (302, "/account/erased")
    assert find_everywhere(*TRACES) == []


def test_reloading_the_goodbye_sends_nothing_again(zerlina, life, signed_in, member):
    client, response = erase(zerlina, signed_in)
    for _look in range(2):
        goodbye = client.get(response["Location"])
        assert (goodbye.status_code, goodbye.resolver_match.view_name) == (200, "account-erased")
        assert "Your account is deleted" in goodbye.content.decode()
    assert Erasure.objects.count() == 1
    assert signed_in(member()).get("/account/erased")["Location"] == "/account"


def test_the_row_stays_in_place_and_signs_nobody_in(zerlina, life, signed_in):
    client, _response = erase(zerlina, signed_in)
    gone = User.objects.get(pk=zerlina.pk)
    assert (gone.name, gone.email, gone.is_active, gone.is_approved) == ("Former member", None, False, False)
    assert not gone.has_usable_password()
    assert client.get("/account").status_code == 302
    assert not AuthToken.objects.filter(user=zerlina).exists()
    assert not [session for session in Session.objects.all() if str(zerlina.pk) in str(session.get_decoded())]
    assert (stored(Export), stored(ExportFile)) == ([], [])
    assert Erasure.objects.get().member_id == zerlina.pk


def test_the_other_side_keeps_its_messages_and_conversations(zerlina, life, signed_in):
    bob = life["bob"]
    before = [(row.id, row.version, row.status, row.updated_at) for row in list_conversations(reader=bob).rows]
    erase(zerlina, signed_in)
    after = [(row.id, row.version, row.status, row.updated_at) for row in list_conversations(reader=bob).rows]
    assert after == before
    asked = open_thread(reader=bob, conversation_id=life["asked"], mark_read=False)
    assert asked.conversation.initial_message == "Bob offers what only Bob said."
    assert [message.content for message in asked.messages] == [SENTENCE, "Bob answers in his own words."]
    assert asked.other_participant
    assert asked.other_participant.name == "Former member"
    assert (
        open_thread(reader=bob, conversation_id=life["helped"], mark_read=False).conversation.initial_message
        == SENTENCE
    )
    page = signed_in(bob).get(f"/messages/{life['asked']}").content.decode()
    assert SENTENCE in page
    assert 'class="report"' not in page  # nothing is left to look at
    legacy = open_thread(reader=bob, conversation_id=life["legacy"], mark_read=False)
    assert [message.content for message in legacy.messages] == [SENTENCE, "Bob spoke in V1 too."]


def test_own_requests_are_taken_back_and_nameless(zerlina, life, signed_in):
    erase(zerlina, signed_in)
    request = HelpRequest.objects.get(pk=life["own"].pk)
    assert (request.title, request.description, request.status) == ("A removed request", None, "cancelled")


def test_two_who_leave_are_two_rows_and_not_one(zerlina, member, signed_in, help_request, stage):
    stage("enabled")
    request, other = help_request(), member(set_password=PASSWORD)
    for helper in (zerlina, other):
        offer_help(actor=helper, help_request_id=request.pk, initial_message="I can help with that.")
        erase(helper, signed_in)
    rows = list_conversations(reader=request.user).rows
    assert {row.other_participant and row.other_participant.id for row in rows} == {zerlina.pk, other.pk}


@pytest.mark.parametrize("password", ["", "wrong", "\0", PASSWORD.upper()])
def test_without_the_password_nothing_is_erased(zerlina, life, signed_in, find_everywhere, password):
    before = find_everywhere(*TRACES)
    client, response = erase(zerlina, signed_in, password)
    assert response.status_code == 400
    assert "Nothing was deleted" in response.content.decode()
    assert client.get("/account").status_code == 200
    assert not Erasure.objects.exists()
    # A wrong password is recorded as a failed sign-in.
    assert [line for line in find_everywhere(*TRACES) if "axes" not in line] == [
        line for line in before if "axes" not in line
    ]


def test_guessing_the_password_here_locks_like_signing_in(zerlina, signed_in):
    client = signed_in(zerlina)
    answers = [client.post("/account/erase", {"password": "wrong"}).status_code for _try in range(6)]
    assert answers[:4] == [400] * 4
    assert answers[-1] == 429
    assert client.post("/account/erase", {"password": PASSWORD}).status_code == 429
    assert User.objects.get(pk=zerlina.pk).is_active


def test_nobody_erases_another_in_the_database_either(zerlina, member, staff):
    for actor in (member(), staff(is_active=False)):
        with pytest.raises(DatabaseError, match="Only the member"), transaction.atomic(), acting_as(actor):
            erasure.scrub(zerlina.pk)
    with pytest.raises(DatabaseError, match="without an acting member"), transaction.atomic():
        erasure.scrub(zerlina.pk)
    assert User.objects.get(pk=zerlina.pk).name == "Zerlina Quastenflosser"


def test_staff_erase_members_and_administrators_erase_staff(zerlina, member, staff, find_everywhere):
    with pytest.raises(NotPermitted):
        erasure.erase_for_member(actor=member(), member_id=zerlina.pk)
    helper = staff(is_superuser=False)
    with pytest.raises(NotPermitted):
        erasure.erase_for_member(actor=helper, member_id=staff().pk)
    erasure.erase_for_member(actor=helper, member_id=zerlina.pk)
    assert find_everywhere(*TRACES) == []
    assert Erasure.objects.get().erased_by_id == helper.pk


def test_the_last_administrator_cannot_leave(db, staff, signed_in):
    only = staff(set_password=PASSWORD)
    _client, response = erase(only, signed_in)
    assert response.status_code == 403
    assert "last administrator" in response.content.decode()
    staff()
    _client, response = erase(only, signed_in)
    assert response.status_code == 302


def test_what_was_still_on_its_way_is_swept_up_by_the_worker(
    zerlina, life, signed_in, beyond_policies, find_everywhere
):
    erase(zerlina, signed_in)
    with beyond_policies() as cursor:
        cursor.execute(
            "INSERT INTO messages_v2 (id, conversation_id, sender_id, content) VALUES (%s, %s, %s, 'zq-own-words late')",
            [uuid4(), life["asked"], zerlina.pk],
        )
    assert erasure.sweep() == 0
    with beyond_policies() as cursor:
        cursor.execute("UPDATE privacy_erasure SET erased_at = now() - interval '3 minutes'")
    assert erasure.sweep() == 1
    assert find_everywhere(*TRACES) == []
    assert erasure.sweep() == 0


@pytest.mark.parametrize("table_column", ["messages_v2.content", "conversations_v2.initial_message"])
def test_even_operations_cannot_reword_what_was_sent(
    committed_db, member, help_request, stage, connect_as, table_column
):
    stage("enabled")
    started = offer_help(actor=member(), help_request_id=help_request().pk, initial_message="I can help with that.")
    owner = member()
    send_message(
        actor=User.objects.get(pk=open_owner(started)), conversation_id=started.conversation_id, content="Thank you"
    )
    assert owner
    table, column = table_column.split(".")
    ops = connect_as("ops")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="never reworded"):
        ops.execute(f"UPDATE {table} SET {column} = 'Something that was never said.'")
    ops.rollback()
    ops.execute(f"UPDATE {table} SET {column} = public.privacy_erased_text()")
    ops.rollback()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ops.execute(f"DELETE FROM {table}")


def open_owner(started):
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")
        cursor.execute("SELECT requester_id FROM conversations_v2 WHERE id = %s", [started.conversation_id])
        found = cursor.fetchone()[0]
        cursor.execute("SET ROLE carecollective_web")
    return found


def test_a_member_can_leave_while_others_are_sending_to_them(committed_db, member, help_request, stage, figure):
    stage("enabled")
    leaver = member(name="Zerlina Quastenflosser", email="zq@example.org", set_password=PASSWORD)
    requests = [help_request() for _ in range(3)]
    started = [
        offer_help(actor=leaver, help_request_id=request.pk, initial_message="zq-own-words: I can help")
        for request in requests
    ]
    own = help_request(user=leaver)
    sent, failures, stop = [0] * 4, [], threading.Event()

    def send(number):
        try:
            while not stop.is_set():
                if number < 3:
                    given = {"actor": requests[number].user, "conversation_id": started[number].conversation_id}
                    send_message(**given, content=f"Still there? {sent[number]}")
                else:
                    offer_help(actor=member(), help_request_id=own.pk, initial_message="I can help with that.")
                sent[number] += 1
        except Exception as failure:
            if getattr(failure, "code", "") not in ("help_request_unavailable", "conversation_inactive"):
                failures.append(failure)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for sender in threads:
        sender.start()
    try:
        wait_for(lambda: all(sent), seconds=30)
        began = time.monotonic()
        with acting_as(leaver), connection.cursor() as cursor:
            cursor.execute(
                "SET LOCAL lock_timeout = '2s'"
            )  # as the site has it: a message that is being sent must not delay an erasure
            erasure.scrub(leaver.pk)
        figure("left within", time.monotonic() - began, "s")
        # Nobody can write to whom has left, nor offer on a request that was taken back: every thread ends.
        for sender in threads:
            sender.join(30)
            assert not sender.is_alive()
    finally:
        stop.set()
        for sender in threads:
            sender.join(30)
    assert failures == []
    for number, one in enumerate(started):
        thread = open_thread(reader=requests[number].user, conversation_id=one.conversation_id, mark_read=False)
        assert thread.conversation.initial_message == SENTENCE
        assert all(message.content.startswith("Still there?") for message in thread.messages)
        with acting_as(requests[number].user), connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM messages_v2 WHERE conversation_id = %s", [one.conversation_id])
            assert cursor.fetchone()[0] == sent[number]
