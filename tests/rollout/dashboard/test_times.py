"""Every time that staff see: in UTC as text, marked for the script that adds the reader's own."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from carecollective.formats.moments import ago, as_time, lasting, mark_times, moment
from rollout.models import Change, DrainCertificate, Source
from rollout.promotion import rollbacks
from rollout.promotion.services import roll_back
from rollout.targeting.propagation import read_switch
from tests.rollout.dashboard.conftest import PAGE, text_of

pytestmark = pytest.mark.django_db

AT = datetime(2026, 9, 5, 14, 5, 9, 123_456, tzinfo=UTC)
MARKED = r"<time [^>]*data-local[^>]*>[^<]*</time>|<(?:text|title) data-hour=[^>]*>[^<]*</(?:text|title)>"
CLOCK = r"(?<![\w:])\d{1,2}:\d{2}(?!\w)"  # not the key of a process: "host:30955:402f3cb7"


def unmarked(html: str) -> list[str]:
    """Return what names a time of day outside the elements that the script finds."""
    text = re.sub(r"<[^>]+>", "\n", re.sub(MARKED, "", html))
    return [line.strip() for line in text.splitlines() if re.search(CLOCK, line)]


def test_a_moment_in_words_is_found_in_every_form() -> None:
    for to, written in {
        "minute": "5 Sep 2026, 14:05 UTC", "second": "5 Sep 2026, 14:05:09 UTC",
        "millisecond": "5 Sep 2026, 14:05:09.123 UTC",
    }.items():  # fmt: skip
        assert moment(AT, to) == written  # type: ignore[arg-type]
        (found,) = re.findall(MARKED, mark_times(f"<b> since {written}, it seems"))
        assert f">{written}<" in found
        assert 'datetime="2026-09-05T14:05' in found
    assert as_time(None) == "no date"
    assert moment(AT, up=True) == "5 Sep 2026, 14:06 UTC"
    assert mark_times("<b> at 31 Feb 2026, 14:05 UTC") == "&lt;b&gt; at 31 Feb 2026, 14:05 UTC"


@pytest.mark.parametrize(("passed", "age", "length"), [
    (0, "just now", "just begun"), (59.9, "just now", "just begun"), (-5, "just now", "just begun"),
    (60, "1\xa0minute ago", "for 1\xa0minute"), (7300, "2\xa0hours, 1\xa0minute ago", "for 2\xa0hours, 1\xa0minute"),
])  # fmt: skip
def test_the_first_minute_has_words_of_its_own(passed: float, age: str, length: str) -> None:
    now = AT + timedelta(seconds=passed)
    assert (ago(AT, now=now), lasting(AT, now=now)) == (age, length)


@pytest.fixture
def eventful(stage: Any, happen: Any, began: Any, lease: Any, alert: Any, ben: Any, monkeypatch: Any, settings: Any,
             beyond_policies: Any) -> Any:  # fmt: skip
    """Let everything have happened that names a time, and then what is asked for: a waiting stage, or a rollback."""

    def let(then: str) -> None:
        settings.SLACK_WEBHOOK_URL = "http://127.0.0.1:9/"
        stage("percentage:10")
        happen(70, failed=35)
        happen(250, method="sendMessage", duration_ms=230.0)
        alert("9 of 20 operations failed.")
        with beyond_policies() as cursor:
            cursor.execute(
                "UPDATE rollout_alert SET acknowledged_at = now(), acknowledged_by_label = 'Ben'; INSERT INTO rollout_delivery"
                " (alert_id, channel, what, attempts, error, requested_by_label, delivered_at, failed_at) SELECT id, 'slack',"
                " 'opened', 1, 'answered 500', '', now(), now() FROM rollout_alert"
            )
        if then == "rolled back":
            roll_back(actor=None, reason="Errors in V2.", source=Source.GUARD, actor_label="The guard")
        if then == "unfinished":
            monkeypatch.setattr(rollbacks, "settle", lambda: None)
            roll_back(actor=None, reason="Errors in V2.", source=Source.GUARD, actor_label="The guard")
        if then != "waiting":
            holder = {"pid": 7, "application": "psql", "since": timezone.now().isoformat()}
            DrainCertificate.objects.create(
                flag_version=99, waited_ms=5, holders=[holder] if then == "unfinished" else [],
                issued_at=None if then == "unfinished" else timezone.now(),
            )  # fmt: skip

    return let


@pytest.mark.parametrize("then", ["waiting", "rolled back", "unfinished"])
def test_no_time_in_the_control_room_is_utc_alone(then: str, eventful: Any, signed_in: Any, ben: Any) -> None:
    eventful(then)
    page = signed_in(ben).get(PAGE)
    assert ("the record does not show it yet" in text_of(page)) == (then == "unfinished")
    assert unmarked(page.content.decode()) == []
    assert len(re.findall(MARKED, page.content.decode())) > 10


def test_what_a_button_answers_and_the_acceptance_are_marked_too(stage: Any, signed_in: Any, ben: Any) -> None:
    stage("enabled")
    client = signed_in(ben)
    answered = client.get("/admin/rollout/acceptance").content.decode()
    assert ("It can be signed from <time" in answered, unmarked(answered)) == (True, [])
    refused = client.post("/admin/rollout/acceptance", {"action": "sign", "item": "accepted/bugs", "part": ""})
    assert (refused.status_code, unmarked(refused.content.decode())) == (409, [])
    said = client.post(PAGE, {"action": "roll_back", "reason": "It hurts."}, follow=True).content.decode()
    assert unmarked(re.findall(r'<ul class="messagelist">.*?</ul>', said, re.DOTALL)[0]) == []


def test_the_last_change_says_its_age_and_its_time(stage: Any, began: Any, signed_in: Any, ben: Any) -> None:
    stage("internal")
    shown = text_of(signed_in(ben).get(PAGE))
    at = Change.objects.latest("pk").at
    assert f"Disabled → Internal , just now, {moment(at, 'second')} , by" in shown
    assert "Rollout: Internal, just begun" in shown
    assert " 0 minutes" not in shown
    began("3 minutes")
    assert "Disabled → Internal , 3 minutes ago, " in text_of(signed_in(ben).get(PAGE))


def test_the_moment_of_the_switch_is_shown_with_its_date(stage: Any) -> None:
    found = read_switch(version=0)
    assert found.last_at is None or moment(found.last_at, "millisecond") in found.words
