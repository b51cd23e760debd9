"""The browser tells its time zone once, so that quiet hours go by the clock where the member lives."""

import pytest
from playwright.sync_api import expect

from carecollective.accounts.preferences.services import read_preferences
from tests.waiting import wait_for

pytestmark = pytest.mark.slow


def test_the_browser_tells_its_time_zone_once(open_page, member):
    ada = member()
    page = open_page("/account", ada, timezone_id="America/New_York")
    wait_for(lambda: read_preferences(ada.pk).time_zone == "America/New_York", seconds=10)
    expect(page.get_by_label("Where you live")).to_have_value("America/New_York")
    told = []
    page.on("request", lambda request: told.append(request.url) if request.method == "POST" else None)
    page.goto("/account")
    expect(page.get_by_label("Where you live")).to_have_value("America/New_York")
    page.wait_for_load_state("load")
    assert told == []
