"""The playbook's final acceptance, line by line."""

import html
import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from carecollective.accounts.models import User
from carecollective.formats.moments import moment
from rollout.alerts.notifications import ChannelState, send_test_message
from rollout.dashboard.status import read_status
from rollout.errors import ChannelNotConfigured, ItemUnknown, RoleMissing, SignedTooEarly
from rollout.models import Alert, Change, SignOff
from rollout.promotion import automated_checks
from rollout.promotion.acceptance import judge_acceptance
from rollout.promotion.automated_checks import check_alert_rules, failed
from rollout.promotion.sign_offs import ENGINEERING, PRODUCT, sign
from tests.operators import MakeStaff
from tests.roles import as_role

pytestmark = pytest.mark.django_db


def states() -> dict[str, str]:
    return {item.name.removeprefix("accepted/"): item.state for item in judge_acceptance()}


@pytest.fixture
def observed(stage: Any, sound: None, past_the_triggers: Any) -> None:
    """Enabled for fifteen days, with enough of everything."""
    stage("enabled")
    with past_the_triggers() as cursor:
        cursor.execute("UPDATE rollout_change SET at = at - interval '15 days' WHERE to_stage = 'enabled'")
        cursor.execute(
            "INSERT INTO application_logs (key, timestamp, service, method, event, log_level, version, stage, duration_ms,"
            " request_id, connection_error) SELECT gen_random_uuid(), clock_timestamp() - make_interval(hours => n % 300),"
            " 'MessagingServiceV2', method, 'success', 'info', 'v2', 'enabled', 40, '', false"
            " FROM generate_series(1, 400) AS n, (VALUES ('startHelpConversation'), ('sendMessage')) AS did (method)"
        )


def test_before_the_end_every_measured_line_is_open(stage: Any, sound: None) -> None:
    stage("percentage:50")
    found = states()
    assert len(found) == 9
    assert [found[name] for name in ("deployed", "success", "latency", "errors", "bugs", "deprecation")] == [
        "insufficient"
    ] * 6


def test_all_of_it_passes_once_it_was_observed_and_signed(observed: None, ben: User, amina: User) -> None:
    assert {name for name, state in states().items() if state != "pass"} == {"bugs", "deprecation"}
    sign(actor=ben, item="accepted/bugs")
    sign(actor=ben, item="accepted/deprecation", part=ENGINEERING)
    sign(actor=amina, item="accepted/deprecation", part=PRODUCT)
    assert set(states().values()) == {"pass"}
    assert accepted_by_command().endswith("Accepted.\n")


def test_a_critical_alert_in_the_two_weeks_is_no_acceptance(observed: None) -> None:
    with as_role("guard"):
        Alert.objects.create(kind="slow_call", severity="critical", words="Slow", stage="enabled")
    assert states()["bugs"] == "fail"


def test_thirteen_days_are_too_few(observed: None, past_the_triggers: Any) -> None:
    with past_the_triggers() as cursor:
        cursor.execute("UPDATE rollout_change SET at = at + interval '2 days' WHERE to_stage = 'enabled'")
    assert bugs().state == "insufficient"
    assert bugs().words.startswith("13.0 of 14 days at enabled. It can be signed from ")


def bugs() -> Any:
    return next(one for one in judge_acceptance() if one.name == "accepted/bugs")


def test_two_weeks_are_vouched_for_once_they_are_over(
    stage: Any, sound: None, past_the_triggers: Any, ben: User, signed_in: Any
) -> None:
    stage("enabled")
    opens_at = Change.objects.latest("pk").at + timedelta(days=14)
    sentence = f"It can be signed from {moment(opens_at, up=True)}."
    assert bugs().words.endswith(sentence)
    assert bugs().parts == ()
    with pytest.raises(SignedTooEarly) as refusal:
        sign(actor=ben, item="accepted/bugs")
    assert str(refusal.value.message) == sentence
    client, asked = signed_in(ben), {"action": "sign", "item": "accepted/bugs", "part": ""}
    refused = client.post("/admin/rollout/acceptance", asked)
    assert (refused.status_code, sentence in words_of(refused)) == (409, True)
    assert 'value="accepted/bugs"' not in refused.content.decode()
    assert sentence in accepted_by_command()
    assert not SignOff.objects.exists()

    with past_the_triggers() as cursor:
        cursor.execute("UPDATE rollout_change SET at = at - interval '14 days' WHERE to_stage = 'enabled'")
    assert (bugs().parts, "can be signed from" in bugs().words) == (("",), False)
    sign(actor=ben, item="accepted/bugs")
    assert bugs().state == "pass"


def test_a_signature_of_the_first_day_counts_on_no_later_day(observed: None, past_the_triggers: Any, ben: User) -> None:
    sign(actor=ben, item="accepted/bugs")
    with past_the_triggers() as cursor:
        cursor.execute("UPDATE rollout_sign_off SET signed_at = signed_at - interval '14 days'")
    assert (bugs().state, bugs().parts) == ("insufficient", ("",))
    assert "Sign again: it was signed too early." in bugs().words


@pytest.mark.parametrize("name", ["disabled", "percentage:50"])
def test_before_enabled_nobody_vouches_for_it(name: str, stage: Any, ben: User) -> None:
    stage(name)
    assert bugs().parts == ()
    with pytest.raises(ItemUnknown):
        sign(actor=ben, item="accepted/bugs")


def words_of(response: Any) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", response.content.decode()))


def accepted_by_command() -> str:
    out = StringIO()
    call_command("rollout", "acceptance", stdout=out)
    return out.getvalue()


def test_a_failing_start_in_ten_is_no_acceptance(observed: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")
        cursor.execute(
            "UPDATE application_logs SET event = 'error', log_level = 'error', error_code = 'database_error'"
            " WHERE id % 10 < 2"
        )
        cursor.execute("SET ROLE carecollective_web")
    found = states()
    assert (found["success"], found["errors"]) == ("fail", "fail")


def test_v1_that_cannot_be_read_is_no_acceptance(observed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(automated_checks._registered, "v1", lambda: failed("Nobody could open it."))
    assert states()["v1"] == "fail"


def test_the_command_names_each_line_and_the_release(stage: Any) -> None:
    out = StringIO()
    call_command("rollout", "acceptance", "--json", stdout=out)
    facts = json.loads(out.getvalue())
    assert facts["accepted"] is False
    assert [item["number"] for item in facts["items"]] == list(range(1, 10))
    assert facts["release"]


def test_the_page_shows_the_lines_and_takes_a_signature(
    observed: None, ben: User, signed_in: Any, operators: MakeStaff, member: Any
) -> None:
    client = signed_in(ben)
    shown = client.get("/admin/rollout/acceptance").content.decode()
    assert "Final acceptance: 2 of 9 open" in shown
    asked = {"action": "sign", "item": "accepted/bugs", "part": ""}
    assert client.post("/admin/rollout/acceptance", asked)["Location"] == "/admin/rollout/acceptance"
    assert "1 of 9 open" in client.get("/admin/rollout/acceptance").content.decode()
    onlooker = operators("view")
    assert "Sign as" not in signed_in(onlooker).get("/admin/rollout/acceptance").content.decode()
    assert signed_in(onlooker).post("/admin/rollout/acceptance", asked).status_code == 403
    assert signed_in(operators("approve")).get("/admin/rollout/acceptance").status_code == 403
    with pytest.raises(RoleMissing):
        sign(actor=operators("view", "approve"), item="accepted/deprecation", part=PRODUCT)


def test_alerts_count_only_once_a_test_message_arrived(
    settings: Any, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (check_alert_rules().state, check_alert_rules().words) == ("fail", automated_checks.no_channel())
    settings.ALERT_EMAILS = ["on-call@example.org"]
    assert check_alert_rules().state == "insufficient"
    send_test_message(channel="email", actor=ben)
    assert check_alert_rules().state == "pass"
    assert "A test message arrived by email." in check_alert_rules().words


def test_a_channel_that_failed_since_is_not_proven() -> None:
    from django.utils import timezone

    now = timezone.now()
    later = now + timedelta(seconds=1)
    assert ChannelState("email", True, now, now, None, "", 0).is_proven
    assert not ChannelState("email", True, now, now, later, "refused", 0).is_proven
    assert not ChannelState("email", True, now, None, None, "", 0).is_proven
    assert not ChannelState("email", False, now, now, None, "", 0).is_proven


VARIABLES = {
    "slack": ["SLACK_WEBHOOK_URL"],
    "email": ["ALERT_EMAILS", "EMAIL_URL"],
    "sentry": ["SENTRY_DSN"],
    "webhook": ["ALERT_WEBHOOK_URL"],
}


def test_an_unconfigured_channel_says_what_to_set(ben: User, signed_in: Any, settings: Any) -> None:
    client = signed_in(ben)
    readme = (settings.BASE_DIR / "README.md").read_text()
    card = re.findall(
        r'<section[^>]*id="channels".*?</section>', client.get("/admin/rollout/").content.decode(), re.DOTALL
    )[0]
    assert "restart the site; then send a test message from here" in card
    for (name, variables), shown in zip(VARIABLES.items(), re.findall(r"<li>(.*?)</li>", card, re.DOTALL), strict=True):
        assert f"<h3>{name.capitalize()}</h3>" in shown
        assert re.findall(r"<code>([A-Z_]+)</code>", shown) == variables
        assert "No message has arrived" not in shown
        assert all(f"`{variable}`" in readme for variable in variables)
        with pytest.raises(ChannelNotConfigured) as refusal:
            send_test_message(channel=name, actor=ben)
        assert f"Set {' and '.join(variables)}" in str(refusal.value.message)
    everywhere = [variables[0] for variables in VARIABLES.values()]
    assert all(variable in check_alert_rules().words for variable in everywhere)
    assert all(variable in read_status().overview.told for variable in everywhere)
    with pytest.raises(ChannelNotConfigured) as refusal:
        send_test_message(channel="pigeon", actor=ben)
    assert str(refusal.value.message) == "There is no channel pigeon. There are: slack, email, sentry, webhook."


def test_the_button_and_the_command_send_one(settings: Any, ben: User, signed_in: Any, mailoutbox: Any) -> None:
    settings.ALERT_EMAILS = ["on-call@example.org"]
    client = signed_in(ben)
    assert 'id="test-email"' in client.get("/admin/rollout/").content.decode()
    client.post("/admin/rollout/", {"action": "test_alert", "channel": "email"})
    out = StringIO()
    call_command("rollout", "test-alert", stdout=out)
    assert out.getvalue() == "email: taken; see that it arrived\n"
    assert [message.to for message in mailoutbox] == [["on-call@example.org"]] * 2
    shown = client.get("/admin/rollout/").content.decode()
    assert "Last message arrived" in shown
