"""One request's page, and offering help there without JavaScript."""

import re

import pytest
from django.utils.html import escape

from carecollective.core.errors import DatabaseAway
from carecollective.help_requests.models import RequestStatus
from carecollective.inbox.selectors import list_conversations

pytestmark = pytest.mark.django_db
OFFER = "Hello! I could come\r\non <b>Tuesday</b>."


def offer(client, request, text=OFFER):
    return client.post(f"/requests/{request.pk}", {"initial_message": text})


@pytest.mark.parametrize(("stage_name", "version"), [("disabled", "v1"), ("enabled", "v2")])
def test_an_offer_leads_to_its_conversation(signed_in, member, help_request, stage, stage_name, version):
    stage(stage_name)
    helping, request = member(), help_request()
    client = signed_in(helping)
    response = offer(client, request)
    row = list_conversations(reader=helping).rows[0]
    assert (row.version, response["Location"]) == (version, f"/messages/{row.id}")
    assert escape("Hello! I could come\non <b>Tuesday</b>.") in client.get(response["Location"]).content.decode()


def test_offering_twice_leads_to_the_one_conversation(signed_in, member, help_request, stage):
    stage("enabled")
    helping, request = member(), help_request()
    client = signed_in(helping)
    assert offer(client, request)["Location"] == offer(client, request)["Location"]
    assert len(list_conversations(reader=helping).rows) == 1
    page = client.get(f"/requests/{request.pk}").content.decode()
    assert "Continue your conversation" in page


def test_a_refused_offer_keeps_the_text_in_the_open_dialog(signed_in, member, help_request, nothing_written):
    request, client = help_request(), signed_in(member())
    with nothing_written():
        response = offer(client, request, "<Short>")
    page = response.content.decode()
    assert response.status_code == 400
    assert "at least 10 characters" in page
    assert escape("<Short>") in page
    assert '<dialog id="offer" aria-labelledby="offer-title" open>' in page


def test_the_button_opens_the_dialog_without_javascript(signed_in, member, help_request):
    client, request = signed_in(member()), help_request()
    closed, opened = (client.get(f"/requests/{request.pk}{asked}").content.decode() for asked in ("", "?offer=1"))
    assert ">Offer Help</button>" in closed
    assert 'aria-labelledby="offer-title">' in closed
    assert 'aria-labelledby="offer-title" open>' in opened


def test_a_visitor_is_led_to_sign_in_and_back_to_the_offer(visitor, help_request):
    request = help_request()
    address = f"/login?next=/requests/{request.pk}%3Foffer%3D1%23id_initial_message"
    assert f'href="{address}"' in visitor.get(f"/requests/{request.pk}").content.decode()
    page = offer(visitor, request).content.decode()
    assert "Hello! I could come" in page
    assert "sign in" in page.lower()


def test_a_waiting_member_is_told_so_instead(signed_in, member, help_request, nothing_written):
    request, client = help_request(), signed_in(member(verification_status="pending"))
    page = client.get(f"/requests/{request.pk}").content.decode()
    assert "waiting for approval" in page
    assert "Offer Help" not in page
    with nothing_written():
        assert offer(client, request).status_code == 403


def test_an_owner_sees_the_offers_and_cannot_offer(signed_in, member, help_request, stage, nothing_written):
    stage("enabled")
    request = help_request()
    owner = signed_in(request.user)
    assert "None yet" in owner.get(f"/requests/{request.pk}").content.decode()
    thread = offer(signed_in(member(name="Hugo Brandt")), request)["Location"]
    page = owner.get(f"/requests/{request.pk}").content.decode()
    assert f'<a href="{thread}">Hugo Brandt</a>' in page
    assert "Offer Help" not in page
    with nothing_written():
        assert offer(owner, request).status_code == 400


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (RequestStatus.COMPLETED, "Somebody has already helped"),
        (RequestStatus.CANCELLED, "taken back"),
        (RequestStatus.CLOSED, "This request is closed"),
    ],
)
def test_a_request_that_is_over_says_so_kindly(signed_in, member, help_request, nothing_written, status, sentence):
    request, client = help_request(status=status), signed_in(member())
    page = client.get(f"/requests/{request.pk}").content.decode()
    assert sentence in page
    assert "Offer Help" not in page
    with nothing_written():
        assert offer(client, request).status_code == 400


def test_too_many_offers_are_asked_to_wait_and_keep_the_text(signed_in, member, help_request, settings):
    settings.CONVERSATIONS_PER_HOUR = 1
    client = signed_in(member())
    offer(client, help_request())
    response = offer(client, help_request())
    assert response.status_code == 429
    assert int(response["Retry-After"]) > 0
    assert escape("on <b>Tuesday</b>") in response.content.decode()


def test_an_offer_that_may_pass_later_is_kept_with_a_retry(
    signed_in, member, help_request, nothing_written, monkeypatch
):
    client, request = signed_in(member()), help_request()
    page = client.get(f"/requests/{request.pk}").content.decode()
    assert re.search(r"<button[^>]*data-retry hidden>Retry", page)

    def away(**asked):
        raise DatabaseAway(retry_after=2)

    monkeypatch.setattr("carecollective.inbox.services.offer_help", away)
    with nothing_written():
        response = offer(client, request)
    page = response.content.decode()
    assert (response.status_code, response["Retry-After"]) == (503, "2")
    assert "Failed to start conversation." in page
    assert escape("on <b>Tuesday</b>") in page
    assert re.search(r"<button[^>]*data-retry>Retry", page)
    assert re.search(r"<button[^>]*data-send hidden>Send", page)


@pytest.mark.parametrize(
    "address", ["/requests/00000000-0000-4000-8000-000000000000", "/requests/not-an-id", "/requests/1"]
)
def test_what_is_not_there_is_a_page_that_says_so(visitor, address):
    response = visitor.get(address)
    assert response.status_code == 404
    assert "not here" in response.content.decode()
