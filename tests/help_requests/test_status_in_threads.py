"""What happens to a request is told in its conversations, and its owner says who helped."""

from functools import partial

import pytest
from django.db import DatabaseError, ProgrammingError, transaction

import messaging_v1.selectors
from carecollective.core.database import acting_as
from carecollective.help_requests.errors import HelpRequestNotFound
from carecollective.help_requests.services import cancel_request, complete_request, reopen_request
from carecollective.inbox.mine import site_words
from carecollective.inbox.mine.services import CannotThank, thank_helper
from carecollective.inbox.mine.site_words import open_thread_with_site_words
from carecollective.inbox.models import Thanks
from carecollective.inbox.selectors import count_unread, open_thread
from carecollective.inbox.services import offer_help, send_message
from carecollective.messaging.errors import ConversationNotFound
from tests.roles import as_role

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["enabled", "disabled"], ids=["v2", "v1"])
def talk(request, member, help_request, stage):
    """Return a conversation, its helper and the request's owner, in each version."""
    stage(request.param)
    helper, wanted = member(name="Ben"), help_request()
    key = offer_help(actor=helper, help_request_id=wanted.pk, initial_message="Happy to help you.").conversation_id
    return key, helper, wanted


def said(key, reader):
    thread = open_thread_with_site_words(reader=reader, conversation_id=key, mark_read=False)
    return [message.content for message in thread.shown]


def test_each_change_stands_in_the_thread_where_it_happened(talk):
    key, helper, wanted = talk
    complete_request(actor=wanted.user, help_request_id=wanted.pk)
    reopen_request(actor=wanted.user, help_request_id=wanted.pk)
    send_message(actor=helper, conversation_id=key, content="I can come again.")
    cancel_request(actor=wanted.user, help_request_id=wanted.pk)
    assert said(key, helper) == [
        "Happy to help you.",
        "This request is completed.",
        "This request is open again.",
        "I can come again.",
        "This request was taken back.",
    ]
    assert said(key, wanted.user)[1] == "You marked this request as completed."
    # The API gives messages alone.
    assert len(open_thread(reader=helper, conversation_id=key, mark_read=False).shown) == 2


def test_what_happened_before_a_thread_is_not_told_in_it(talk, member):
    key, helper, wanted = talk
    complete_request(actor=wanted.user, help_request_id=wanted.pk)
    reopen_request(actor=wanted.user, help_request_id=wanted.pk)
    later = member(name="Cleo")
    begun = offer_help(actor=later, help_request_id=wanted.pk, initial_message="I can help as well.")
    assert said(begun.conversation_id, later) == ["I can help as well."]
    assert len(said(key, helper)) == 3


def test_a_visit_marks_what_it_shows_or_nothing(talk, monkeypatch):
    key, _helper, wanted = talk
    visit = partial(open_thread_with_site_words, reader=wanted.user, conversation_id=key, mark_read=True)
    assert count_unread(reader=wanted.user) == 1

    def fail(**_asked):
        raise DatabaseError

    with monkeypatch.context() as patch:
        patch.setattr(messaging_v1.selectors, "read_conversation", fail)
        patch.setattr(site_words, "_SAID", "SELECT 1 / 0")
        with pytest.raises(DatabaseError), transaction.atomic():
            visit()
    assert count_unread(reader=wanted.user) == 1
    assert visit().unread in (0, None)  # None: in a test's transaction nothing is committed
    assert count_unread(reader=wanted.user) == 0


def test_a_refused_change_says_nothing(talk, member):
    key, helper, wanted = talk
    with pytest.raises(HelpRequestNotFound):
        complete_request(actor=helper, help_request_id=wanted.pk)
    assert said(key, helper) == ["Happy to help you."]


def test_the_page_shows_it_as_the_sites_words(talk, signed_in):
    key, helper, wanted = talk
    complete_request(actor=wanted.user, help_request_id=wanted.pk)
    page = signed_in(helper).get(f"/messages/{key}").content.decode()
    assert "This request is completed." in page
    assert 'class="bubble system"' in page


def test_the_owner_says_who_helped(talk, signed_in):
    key, helper, wanted = talk
    owner = signed_in(wanted.user)
    assert "helped me" not in owner.get(f"/requests/{wanted.pk}").content.decode()
    owner.post(f"/requests/{wanted.pk}/complete")
    assert "Ben helped me" in owner.get(f"/requests/{wanted.pk}").content.decode()
    for _click in range(2):
        answer = owner.post(f"/messages/{key}/thank")
        assert answer["Location"] == f"/messages/{key}#latest"
    assert said(key, helper)[-1] == "Thank you: you helped with this request."
    page = owner.get(f"/requests/{wanted.pk}").content.decode()
    assert "Ben helped me" not in page
    assert "Helped" in page


def test_only_the_owner_thanks_and_only_once_it_is_done(talk, member):
    key, helper, wanted = talk
    with pytest.raises(CannotThank):
        thank_helper(actor=wanted.user, conversation_id=key)
    complete_request(actor=wanted.user, help_request_id=wanted.pk)
    with pytest.raises(CannotThank):
        thank_helper(actor=helper, conversation_id=key)
    with pytest.raises(ConversationNotFound):
        thank_helper(actor=member(), conversation_id=key)
    with as_role("ops"):
        assert not Thanks.objects.exists()


def test_the_database_lets_only_the_owner_thank(talk, member):
    key, helper, wanted = talk
    complete_request(actor=wanted.user, help_request_id=wanted.pk)
    thank_helper(actor=wanted.user, conversation_id=key)
    with acting_as(member()):
        assert not Thanks.objects.exists()
    with pytest.raises(ProgrammingError, match="row-level security"), acting_as(helper):
        Thanks.objects.create(help_request=wanted, helper=helper)


def test_my_requests_lists_every_status_with_its_offers(talk, signed_in, help_request):
    _key, _helper, wanted = talk
    help_request(user=wanted.user, title="A lift on Monday")
    help_request(title="Somebody else's wish")
    complete_request(actor=wanted.user, help_request_id=wanted.pk)
    page = signed_in(wanted.user).get("/my/requests").content.decode()
    assert wanted.title in page
    assert "1 offer of help" in page
    assert "A lift on Monday" in page
    assert "Somebody else" not in page


def test_my_offers_lists_conversations_about_requests_of_others(talk, signed_in, member, help_request):
    _key, helper, wanted = talk
    own = help_request(user=helper, title="A lift on Monday")
    offer_help(actor=member(), help_request_id=own.pk, initial_message="Happy to drive you.")
    page = signed_in(helper).get("/my/offers").content.decode()
    assert wanted.title in page
    assert "A lift on Monday" not in page
    assert "You have not offered help yet" in signed_in(wanted.user).get("/my/offers").content.decode()
