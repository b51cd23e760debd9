"""Statements by hand can be compared with the ORM while the site serves; what differs is logged without a word of it."""

import logging
from typing import Any

import pytest
from django.db import connection
from knox.models import AuthToken

from carecollective.accounts.authentication import TokenAuthentication
from carecollective.core import shadow
from carecollective.core.database import acting_as
from carecollective.inbox.selectors import messages_after, open_thread
from carecollective.inbox.services import offer_help, send_message

WORDS = "I can bring bread on Friday."
STATEMENTS = {"token", "lock request", "lock conversation", "messages"}


@pytest.fixture
def compared(settings: Any, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Compare each call, and note which statements were compared."""
    settings.SHADOW_COMPARISON = 100
    names: set[str] = set()
    real = shadow.compare

    def note(statement: str, found: Any, by_orm: Any) -> None:
        names.add(statement)
        real(statement, found, by_orm)

    monkeypatch.setattr(shadow, "compare", note)
    return names


def use_the_site(member: Any, help_request: Any) -> None:
    helper = member()
    TokenAuthentication().authenticate_credentials(AuthToken.objects.create(user=helper)[1].encode())
    started = offer_help(actor=helper, help_request_id=help_request().pk, initial_message=WORDS)
    sent = [
        send_message(actor=helper, conversation_id=started.conversation_id, content=f"{WORDS} {number}").message.id
        for number in range(4)
    ]
    for before in (None, sent[2]):
        open_thread(reader=helper, conversation_id=started.conversation_id, before=before, mark_read=True)
    for after in (None, sent[0]):
        messages_after(reader=helper, conversation_id=started.conversation_id, after=after)


def test_what_is_the_same_is_compared_and_leaves_no_line(
    db: None, stage: Any, member: Any, help_request: Any, compared: set[str], caplog: Any
) -> None:
    stage("enabled")
    use_the_site(member, help_request)
    assert compared == STATEMENTS
    assert not [record for record in caplog.records if record.name == shadow.logger.name]


def test_a_difference_and_a_failure_are_errors_without_a_word(
    db: None, member: Any, settings: Any, caplog: Any
) -> None:
    settings.SHADOW_COMPARISON = 100
    caplog.set_level(logging.INFO)
    with acting_as(member()):
        shadow.compare("messages", [WORDS], lambda: ["other words"])
        shadow.compare("messages", [WORDS], lambda: connection.cursor().execute("SELECT 1 / 0"))
        shadow.compare("messages", [WORDS], lambda: [WORDS])
    said = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == shadow.logger.name]
    assert said == [
        ("ERROR", "The statement messages by hand answers otherwise than the ORM."),
        ("ERROR", "The shadow comparison of the statement messages failed."),
    ]


def test_off_nothing_is_asked(db: None, settings: Any) -> None:
    settings.SHADOW_COMPARISON = 0
    shadow.compare("messages", [], lambda: pytest.fail("asked"))
