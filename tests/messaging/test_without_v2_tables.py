"""Where V2's tables were dropped beneath the site (the playbook's option B, typed into psql), V1 goes on and staff are told."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from carecollective.accounts.models import User
from carecollective.help_requests.models import HelpRequest
from carecollective.inbox.selectors import list_conversations, messages_after, offers_on, open_thread
from carecollective.inbox.services import offer_help, send_message
from carecollective.messaging.errors import ConversationExists, ConversationNotFound, MessagingUnavailable
from rollout.alerts import lifecycle
from rollout.guard import absence
from rollout.targeting.cohort import Reason, decision_for
from rollout.versions import MessagingVersion
from tests.api.documented import DocumentedClient

Drop = Callable[..., None]
OFFER = "Hello, I could bring them round on Monday."


@pytest.fixture
def drop(beyond_policies: Any) -> Drop:
    """Drop tables as somebody with psql would."""

    def drop_tables(*tables: str) -> None:
        with beyond_policies() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(f"DROP TABLE {', '.join(tables or ('messages_v2', 'conversations_v2'))} CASCADE")

    return drop_tables


@pytest.fixture
def legacy(helper: User, owner: User, groceries: HelpRequest, legacy_conversation: Any) -> Any:
    return legacy_conversation(helper, owner, groceries, ["Hello from the old days.", "Thank you."])


@pytest.mark.parametrize("tables", [(), ("messages_v2",), ("conversations_v2",)])
@pytest.mark.parametrize("stage_name", ["disabled", "percentage:100", "enabled"])
def test_members_read_answer_and_offer_in_v1(
    drop: Drop,
    tables: tuple[str, ...],
    stage: Any,
    stage_name: str,
    legacy: Any,
    helper: User,
    owner: User,
    groceries: HelpRequest,
    outsider: User,
) -> None:
    stage(stage_name)
    drop(*tables)
    (row,) = list_conversations(reader=owner).rows
    assert (row.id, row.version, row.last_message and row.last_message.content) == (legacy, "v1", "Thank you.")
    assert [one.content for one in open_thread(reader=owner, conversation_id=legacy, mark_read=True).messages] == [
        "Hello from the old days.",
        "Thank you.",
    ]
    sent = send_message(actor=helper, conversation_id=legacy, content="Are you there?")
    assert sent.version is MessagingVersion.V1
    assert messages_after(reader=owner, conversation_id=legacy, after=None).messages[-1].content == "Are you there?"
    with pytest.raises(ConversationExists):
        offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    started = offer_help(actor=outsider, help_request_id=groceries.pk, initial_message=OFFER)
    assert started.version is MessagingVersion.V1
    assert {offer.conversation_id for offer in offers_on(owner=owner, help_request_id=groceries.pk)} == {
        legacy,
        started.conversation_id,
    }
    if stage_name != "disabled":
        assert decision_for(outsider).reason is Reason.TABLES_MISSING


def test_the_pages_answer(
    drop: Drop, legacy: Any, conversation: Any, helper: User, owner: User, groceries: HelpRequest, signed_in: Any
) -> None:
    drop()
    browser: Client = signed_in(owner)
    for path in ("/messages", f"/messages/{legacy}", f"/requests/{groceries.pk}"):
        assert browser.get(path).status_code == 200, path
    assert browser.get(f"/messages/{conversation.pk}").status_code == 404
    with pytest.raises(ConversationNotFound):
        open_thread(reader=helper, conversation_id=conversation.pk, mark_read=False)


def test_frozen_v1_tells_members_that_messaging_is_paused(
    drop: Drop, stage: Any, helper: User, groceries: HelpRequest
) -> None:
    stage("percentage:100", v1_writes=False)
    drop()
    with pytest.raises(MessagingUnavailable, match="messaging_unavailable") as refused:
        offer_help(actor=helper, help_request_id=groceries.pk, initial_message=OFFER)
    assert "paused for everybody" in str(refused.value.message)


@pytest.mark.parametrize("stage_name", ["disabled", "percentage:10"])
def test_health_status_control_room_and_an_alert_name_it(
    db: None, drop: Drop, stage: Any, stage_name: str, staff: Any, signed_in: Any
) -> None:
    stage(stage_name)
    drop("messages_v2")
    answer = DocumentedClient().get("/api/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert "V2's tables are missing" in answer.json()["checks"]["messaging_v2"]["message"]

    out = StringIO()
    call_command("rollout", "status", stdout=out)
    health = next(line for line in out.getvalue().splitlines() if line.startswith("Health: "))
    assert health.startswith("Health: failing. V2's tables are missing from the database")
    assert "Restore the newest backup" in health
    page = signed_in(staff()).get("/admin/rollout/")
    assert page.status_code == 200
    assert "tables are missing from the database" in page.content.decode()

    absence.check_guard()
    (alert,) = [one for one in lifecycle.open_alerts() if one.kind == "v2_tables_missing"]
    assert alert.severity == "critical"


def test_the_alert_ends_once_the_tables_are_there_again(stage: Any, drop: Drop, beyond_policies: Any, db: None) -> None:
    with beyond_policies() as cursor:
        cursor.execute("ALTER TABLE messages_v2 RENAME TO elsewhere")
    absence.check_guard()
    assert "v2_tables_missing" in [one.kind for one in lifecycle.open_alerts()]
    with beyond_policies() as cursor:
        cursor.execute("ALTER TABLE elsewhere RENAME TO messages_v2")
    absence.check_guard()
    assert "v2_tables_missing" not in [one.kind for one in lifecycle.open_alerts()]


@pytest.mark.parametrize("table", ["messages", "inbox_readpointer", "core_ratelimithit"])
def test_any_other_missing_table_is_a_host_that_cannot_serve(
    drop: Drop, table: str, owner: User, signed_in: Any, conversation: Any
) -> None:
    browser = signed_in(owner, raise_request_exception=False)
    drop(table)
    answer = DocumentedClient().get("/api/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "failing")
    assert table in answer.json()["checks"]["database"]["message"]
    if table != "core_ratelimithit":
        page = browser.get("/messages")
        assert (page.status_code, page["Retry-After"]) == (503, "60")
        said = page.content.decode()
        assert "A part of our records is missing right now." in said
        assert "does not exist" not in said


@pytest.mark.parametrize("action", [["status"], ["audit"], ["acceptance"], ["preview", "internal"]])
def test_the_rollout_command_says_that_a_table_is_missing(db: None, drop: Drop, action: list[str]) -> None:
    drop("rollout_change", "rollout_alert", "profiles_groups")
    with pytest.raises(CommandError) as refused:
        call_command("rollout", *action, stdout=StringIO())
    assert str(refused.value).startswith("The database is not complete: relation ")
    assert str(refused.value).endswith("`manage.py verify_messaging` says what to do.")
    assert "\n" not in str(refused.value)
