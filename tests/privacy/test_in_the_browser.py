"""An export in a real browser: the page shows the progress by itself."""

import json
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from carecollective.inbox.services import offer_help
from carecollective.moderation.services import report_message
from carecollective.privacy.exports import prepare_waiting
from tests.pages.looks import LOOKS_OF_STAFF, find_problems

pytestmark = pytest.mark.slow


def test_the_page_shows_by_itself_when_the_copy_is_ready(site, open_page, member):
    ada = member(name="Ada Lovelace")
    page = open_page("/account", ada)
    page.get_by_role("button", name="Ask for a copy of my data").click()
    page.get_by_text("is being put together").wait_for()
    assert prepare_waiting() == 1
    link = page.get_by_role("link", name="Download your data")
    link.wait_for(timeout=10_000)
    with page.expect_download() as download:
        link.click()
    with ZipFile(BytesIO(Path(download.value.path()).read_bytes())) as files:
        assert json.loads(files.read("care-collective.json"))["profile"]["name"] == "Ada Lovelace"


def test_the_pages_of_staff_are_accessible_and_fit_a_phone(site, open_page, member, staff, help_request, stage):
    stage("enabled")
    ada, helper = member(name="Ada Lovelace"), staff(name="Sana")
    about = help_request(user=ada)
    started = offer_help(actor=member(name="Bob"), help_request_id=about.pk, initial_message="Buy my very good things.")
    report_message(
        actor=ada, conversation_id=started.conversation_id, message_id=None, reason="spam", words="Look at this."
    )
    page = open_page("/admin/moderation/report/", helper)
    problems: list[str] = []

    def judge(where):
        problems.extend(find_problems(page, where, looks=LOOKS_OF_STAFF, too_small=""))

    judge("the list")
    page.locator("#result_list th a").click()
    page.get_by_role("button", name="Show the message").click()
    page.get_by_text("Buy my very good things.").wait_for()
    judge("a report")
    page.goto("/admin/accounts/user/")
    page.select_option("select[name=action]", "erase")
    page.locator(f"input[value='{ada.pk}']").check()
    page.get_by_role("button", name="Go").click()
    page.get_by_text("To erase Ada Lovelace").wait_for()
    judge("erasing a member")
    assert not problems, "\n".join(problems)
