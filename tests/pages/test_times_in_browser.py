"""What the pages say about times, in a real browser: by the reader's calendar and never by a wrong clock."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from playwright.sync_api import expect

TIMES = Path(settings.BASE_DIR) / "static" / "js" / "times.js"
AGE = """async ([moment, now]) => (await import("/times.js")).age(new Date(moment), new Date(now))"""


@pytest.fixture(scope="module")
def read_age(browser):
    """Ask the module itself, in a reader's time zone: `read_age("America/Chicago", moment, now)`."""
    contexts = {}

    def answer(route):
        script = route.request.url.endswith(".js")
        body = TIMES.read_text() if script else '<!doctype html><html lang="en"><title>Times</title></html>'
        route.fulfill(body=body, content_type="text/javascript" if script else "text/html")

    def read(zone, moment, now):
        if zone not in contexts:
            context = browser.new_context(timezone_id=zone, locale="en-GB")
            context.route("**/*", answer)
            contexts[zone] = context.new_page()
            contexts[zone].goto("http://times.example/")
        moments = [datetime.fromisoformat(each).replace(tzinfo=ZoneInfo(zone)) for each in (moment, now)]
        return contexts[zone].evaluate(AGE, [each.astimezone(UTC).isoformat() for each in moments])

    yield read
    for page in contexts.values():
        page.context.close()


@pytest.mark.parametrize(
    ("moment", "now", "said"),
    [
        ("2026-11-25 12:00:00", "2026-11-25 12:00:00", "just now"),
        ("2026-11-25 12:00:00", "2026-11-25 12:00:59", "just now"),
        ("2026-11-25 12:00:00", "2026-11-25 12:01:00", "1 minute ago"),
        ("2026-11-25 12:00:00", "2026-11-25 12:59:59", "59 minutes ago"),
        ("2026-11-25 12:00:00", "2026-11-25 13:59:59", "1 hour ago"),
        ("2026-11-25 00:00:00", "2026-11-25 23:59:59", "23 hours ago"),
        # The future, from a wrong clock or a message that overtook its page.
        ("2026-11-25 12:06:00", "2026-11-25 12:00:00", "just now"),
        ("2026-12-25 12:00:00", "2026-11-25 12:00:00", "just now"),
        # Midnight: less than an hour is minutes, whatever the day; then the calendar speaks.
        ("2026-11-24 23:50:00", "2026-11-25 00:10:00", "20 minutes ago"),
        ("2026-11-24 23:00:00", "2026-11-25 00:10:00", "yesterday"),
        ("2026-11-24 00:00:00", "2026-11-25 23:59:00", "yesterday"),
        ("2026-11-23 23:59:00", "2026-11-25 22:59:00", "2 days ago"),
        ("2026-11-23 23:59:00", "2026-11-25 00:01:00", "2 days ago"),
        # From a week on a date says more: "last week" would be anything from 7 to 13 days.
        ("2026-11-19 00:00:00", "2026-11-25 23:59:00", "6 days ago"),
        ("2026-11-18 23:59:00", "2026-11-25 00:01:00", "18 Nov 2026"),
        ("2025-12-31 23:59:00", "2026-01-01 01:00:00", "yesterday"),
        ("2024-11-25 12:00:00", "2026-11-25 12:00:00", "25 Nov 2024"),
    ],
)
def test_ages_follow_the_readers_calendar(read_age, moment, now, said):
    assert read_age("Europe/Berlin", moment, now) == said


@pytest.mark.parametrize(
    ("zone", "moment", "now", "said"),
    [
        # Clocks go forward (a day of 23 hours) and back (one of 25).
        ("America/Chicago", "2026-03-07 23:30:00", "2026-03-08 23:30:00", "yesterday"),
        ("America/Chicago", "2026-03-07 00:10:00", "2026-03-09 00:05:00", "2 days ago"),
        ("America/Chicago", "2026-11-01 00:10:00", "2026-11-01 23:50:00", "24 hours ago"),
        ("America/Chicago", "2026-10-31 23:50:00", "2026-11-02 00:10:00", "2 days ago"),
        ("America/Chicago", "2026-10-26 12:00:00", "2026-11-01 23:50:00", "6 days ago"),
        # Where midnight itself does not exist on the day that summer time begins.
        ("America/Santiago", "2026-09-05 23:30:00", "2026-09-06 01:30:00", "yesterday"),
        # The same two moments are one day in one place and two in another.
        ("Asia/Kolkata", "2026-11-25 01:00:00", "2026-11-25 04:30:00", "3 hours ago"),
        ("America/Chicago", "2026-11-24 13:30:00", "2026-11-24 17:00:00", "3 hours ago"),
        ("Europe/London", "2026-11-24 19:30:00", "2026-11-24 23:00:00", "3 hours ago"),
        ("Europe/Berlin", "2026-11-24 20:30:00", "2026-11-25 00:00:00", "yesterday"),
    ],
)
def test_ages_follow_the_readers_time_zone_and_its_changes(read_age, zone, moment, now, said):
    assert read_age(zone, moment, now) == said


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [-timedelta(minutes=6), timedelta(hours=20)], ids=["slow", "fast"])
def test_a_wrong_clock_of_the_device_makes_no_wrong_times(open_page, help_request, wrong):
    now = datetime.now(UTC)
    for title, passed in (("Just asked", timedelta(0)), ("Asked before", timedelta(minutes=17))):
        help_request(title=title, created_at=now - passed)
    page = open_page("/help")
    page.clock.install(time=now + wrong)
    page.goto("/requests")
    times = page.locator(".card time")
    expect(times).to_have_text(["just now", "17 minutes ago"])
    page.clock.run_for(3 * 60_000)
    expect(times).to_have_text(["3 minutes ago", "20 minutes ago"])


@pytest.mark.slow
def test_without_javascript_every_time_is_a_date_that_says_its_zone(open_page, help_request):
    asked = help_request(created_at=datetime(2026, 11, 20, 23, 5, tzinfo=UTC))
    for path in ("/requests", f"/requests/{asked.pk}"):
        page = open_page(path, javascript=False)
        expect(page.locator("main time")).to_have_text("20 Nov 2026, 23:05 UTC")
