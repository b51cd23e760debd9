"""What we write about is chosen on the account page, or by a link from a mail that opens nothing else."""

from datetime import UTC, datetime, time
from typing import Any

import pytest
from django.test import Client

from carecollective.accounts.models import MailPace, MessagingPreferences
from carecollective.accounts.preferences.quiet_hours import is_quiet, zones_to_choose
from carecollective.accounts.preferences.services import (
    COLUMNS,
    note_time_zone,
    read_preferences,
    update_preferences,
    wants_mail,
)
from carecollective.core.errors import ValidationRefused
from carecollective.mail.topics import Topic, make_preferences_link

pytestmark = pytest.mark.django_db
SAVED: dict[str, Any] = {"email_notifications": True, "quiet_hours_start": None, "quiet_hours_end": None}


@pytest.fixture
def ada(member):
    return member(email="ada@example.org", name="Ada Lovelace")


def path(user, topic=Topic.MESSAGES):
    return "/mail/" + make_preferences_link(user.pk, topic).rpartition("/")[2]


@pytest.fixture
def stranger():
    """A mail program: no cookie, no login, and CSRF checks on."""
    return Client(enforce_csrf_checks=True)


@pytest.mark.parametrize("topic", Topic)
def test_one_click_stops_this_kind_and_no_other(stranger, ada, topic):
    answer = stranger.post(
        path(ada, topic), "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded"
    )
    assert (answer.status_code, answer.content) == (200, b"")
    stored = read_preferences(ada.pk)
    assert {each for each in Topic if not wants_mail(stored, each)} == {topic}


def test_one_click_takes_a_form_with_parts(stranger, ada):
    assert stranger.post(path(ada), {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert not read_preferences(ada.pk).email_notifications


def test_opening_the_link_changes_nothing_and_names_nobody(stranger, ada):
    before = read_preferences(ada.pk).updated_at
    for method in (stranger.get, stranger.head, stranger.get):
        answer = method(path(ada))
        assert answer.status_code == 200
        assert "Ada" not in answer.content.decode()
        assert "ada@" not in answer.content.decode()
    assert read_preferences(ada.pk).updated_at == before
    assert "_auth_user_id" not in stranger.session


def test_the_page_stops_and_starts_again(stranger, ada):
    page = stranger.post(path(ada, Topic.REQUESTS), {"List-Unsubscribe": "One-Click", "page": "yes"}, follow=True)
    assert "These mails are stopped" in page.content.decode()
    assert "Stop these mails" not in page.content.decode()
    page = stranger.post(path(ada, Topic.REQUESTS), {"pace": "daily", "requests": "yes"}, follow=True)
    assert "Your choices are saved" in page.content.decode()
    stored = read_preferences(ada.pk)
    assert (stored.mail_about_requests, stored.email_notifications, stored.mail_pace) == (True, True, MailPace.DAILY)
    stranger.post(path(ada), {"pace": "never"})
    stored = read_preferences(ada.pk)
    assert (stored.mail_about_requests, stored.email_notifications, stored.mail_pace) == (False, False, MailPace.DAILY)


def test_a_members_link_does_not_reach_the_choices_of_staff(stranger, ada):
    assert "(for staff)" not in stranger.get(path(ada)).content.decode()
    stranger.post(path(ada), {"pace": "soon"})
    assert read_preferences(ada.pk).mail_about_reports
    assert "(for staff)" in stranger.get(path(ada, Topic.REPORTS)).content.decode()


def test_a_link_never_shows_words_in_mail(stranger, ada):
    stranger.post(path(ada), {"pace": "soon", "shows_words": "on"})
    assert not read_preferences(ada.pk).shows_words


def test_a_link_that_is_not_ours_or_of_who_left_says_so(stranger, ada, staff):
    token = path(ada)
    type(ada).objects.filter(pk=ada.pk).update(is_active=False)
    for address in (token, token[:-2], "/mail/x"):
        for answer in (stranger.get(address), stranger.post(address, {"List-Unsubscribe": "One-Click"})):
            assert answer.status_code == 400
            assert "This link is not complete" in answer.content.decode()
    assert read_preferences(ada.pk).email_notifications


def test_the_account_page_keeps_every_choice(signed_in, ada):
    given = {
        "form": "preferences",
        "mail_pace": "daily",
        "shows_words": "on",
        "quiet_hours_start": "22:00",
        "quiet_hours_end": "07:00",
        "time_zone": "America/New_York",
    }
    client = signed_in(ada)
    assert client.post("/account", given).status_code == 302
    stored = read_preferences(ada.pk)
    assert (stored.email_notifications, stored.mail_pace, stored.shows_words) == (False, "daily", True)
    assert (stored.mail_about_requests, stored.time_zone) == (False, "America/New_York")
    page = client.get("/account").content.decode()
    assert '<option value="America/New_York" selected>America, New York</option>' in page
    assert "people wait to join" not in page


def test_only_staff_choose_about_applicants_and_reports(signed_in, staff):
    sam = staff()
    page = signed_in(sam).get("/account").content.decode()
    assert "people wait to join" in page
    signed_in(sam).post("/account", {"form": "preferences", "mail_about_reports": "on"})
    stored = read_preferences(sam.pk)
    assert (stored.mail_about_reports, stored.mail_about_applicants) == (True, False)


@pytest.mark.parametrize("given", [{"time_zone": "Europe/Nowhere"}, {"mail_pace": "yearly"}])
def test_an_unknown_choice_is_refused_and_nothing_stored(signed_in, ada, given):
    with pytest.raises(ValidationRefused):
        update_preferences(actor=ada, **SAVED, **given)
    answer = signed_in(ada).post("/account", {"form": "preferences", **given})
    assert answer.status_code == 400
    assert read_preferences(ada.pk).time_zone == ""


def test_the_browser_tells_the_time_zone_once(signed_in, ada):
    client = signed_in(ada)
    for told in ("Mars/Olympus", "Europe/Berlin", "Asia/Tokyo"):
        assert client.post("/account/time-zone", {"time_zone": told}).status_code == 204
    assert read_preferences(ada.pk).time_zone == "Europe/Berlin"
    note_time_zone(actor=ada, time_zone="Asia/Tokyo")
    assert read_preferences(ada.pk).time_zone == "Europe/Berlin"
    assert client.get("/account/time-zone").status_code == 302


def test_a_member_without_preferences_gets_the_defaults(ada, beyond_policies):
    with beyond_policies() as cursor:
        cursor.execute("DELETE FROM messaging_preferences")
    stored = read_preferences(ada.pk)
    assert all(wants_mail(stored, topic) for topic in COLUMNS)
    note_time_zone(actor=ada, time_zone="Europe/Berlin")
    assert MessagingPreferences.objects.get(user=ada).time_zone == "Europe/Berlin"


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "zone", "quiet"),
    [
        # Berlin in winter is an hour ahead of UTC, in summer two.
        ("2026-01-15T20:59", "Europe/Berlin", False),
        ("2026-01-15T21:00", "Europe/Berlin", True),
        ("2026-07-15T19:59", "Europe/Berlin", False),
        ("2026-07-15T20:00", "Europe/Berlin", True),
        ("2026-07-15T04:59", "Europe/Berlin", True),
        ("2026-07-15T05:00", "Europe/Berlin", False),
        # The nights in which the clock changes there.
        ("2026-03-29T04:59", "Europe/Berlin", True),
        ("2026-03-29T05:00", "Europe/Berlin", False),
        ("2026-10-25T05:59", "Europe/Berlin", True),
        ("2026-10-25T06:00", "Europe/Berlin", False),
        ("2026-01-15T03:30", "America/New_York", True),
        ("2026-01-15T12:00", "America/New_York", False),
        ("2026-01-15T16:30", "Asia/Kolkata", True),
        ("2026-01-15T22:00", "", True),
        ("2026-01-15T22:00", "of another release", True),
    ],
)
def test_quiet_hours_go_by_the_clock_where_the_member_lives(moment, zone, quiet):
    assert is_quiet(at(moment), zone=zone, start=time(22), end=time(7)) is quiet


@pytest.mark.parametrize(
    ("start", "end", "here", "quiet"),
    [
        (22, 7, "23:30", True),
        (22, 7, "22:00", True),
        (22, 7, "00:00", True),
        (22, 7, "06:59", True),
        (22, 7, "07:00", False),
        (22, 7, "12:00", False),
        (1, 5, "00:59", False),
        (1, 5, "03:00", True),
        (1, 5, "05:00", False),
        (5, 5, "05:00", False),
    ],
)
def test_quiet_hours_may_reach_over_midnight(start, end, here, quiet):
    moment = at(f"2026-01-15T{here}")
    assert is_quiet(moment, zone="UTC", start=time(start), end=time(end)) is quiet
    assert not is_quiet(moment, zone="UTC", start=time(start), end=None)


def test_the_list_of_places_holds_the_usual_ones():
    assert {"Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Sydney"} <= set(zones_to_choose())
    assert not [zone for zone in zones_to_choose() if zone.startswith("Etc/")]
