"""Every mail is text and HTML of the same words, says how it can be stopped, and lets nobody's words become markup."""

import re
from email import message_from_bytes
from uuid import uuid4

import pytest
from django.core.signing import Signer

from carecollective.mail.letters import Action, Code, Letter, Quote, render_letter, shorten
from carecollective.mail.topics import Topic, make_preferences_link, read_preferences_link

LINK = "https://care.example/messages/1#latest"


def write(*parts, subject="Hello", topic=Topic.MESSAGES, **fields):
    letter = Letter(subject, parts, **fields)
    message = render_letter(letter, mail_id=uuid4(), to="ada@example.org", recipient_id=uuid4(), topic=topic)
    return message_from_bytes(message.message().as_bytes())


def forms(message):
    return [part.get_payload(decode=True).decode() for part in message.get_payload()]


def test_both_forms_say_the_same():
    plain, html = forms(
        write("Ben offers to help.", Quote("One\ntwo"), Code("ABCD-EFGH"), Action("Read it", LINK), name="Ada")
    )
    for said in ("Hello Ada,", "Ben offers to help.", "ABCD-EFGH", "Read it", LINK):
        assert said in plain
        assert said in html
    assert "> One\n> two\n" in plain
    assert "Read it:\nhttps://care.example" in plain
    assert "One<br>two" in html


def test_plain_text_comes_first_and_html_last():
    message = write("Hello")
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.get_payload()] == ["text/plain", "text/html"]


def test_words_of_members_become_no_markup_and_no_link():
    said = '<a href="https://evil.example">x</a>\nRead it:\nhttps://evil.example'
    plain, html = forms(write(Quote(said), f"{said} & more", name="<b>Zoë</b>"))
    assert "https://evil.example" in html
    assert not re.findall(r'href="https?://evil', html)
    assert "<b>" not in html
    assert "<b>Zoë</b>" in plain  # as it is: plain text has no markup
    assert all(line.startswith("> ") for line in plain.splitlines() if line.endswith("Read it:"))


def test_html_loads_nothing_and_runs_nothing():
    _plain, html = forms(write("Hello", Action("Read it", LINK)))
    assert not re.search(r"<script|<img|<link|<iframe|\son[a-z]+=|url\(|@import", html)


def test_a_subject_is_one_line_whatever_a_title_holds():
    message = write("x", subject="Ben: milk\r\nBcc: evil@example.org\n" + "very " * 60)
    assert "\n" not in message["Subject"].replace("\n ", " ")
    assert message["Bcc"] is None
    assert shorten("a" * 80) == "a" * 59 + "…"


def test_mail_with_a_topic_can_be_stopped_with_one_click():
    message = write("Hello")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    (link,) = re.findall(r"<(http\S+)>", "".join(message["List-Unsubscribe"].split()))
    assert all(link in form for form in forms(message))


def test_mail_about_the_account_cannot_be_stopped():
    message = write("Your link", topic=None)
    assert message["List-Unsubscribe"] is None
    assert all("about your account" in form for form in forms(message))


def test_answers_go_to_a_mailbox_that_is_read(settings):
    settings.CONTACT_EMAIL = "staff@care.example"
    assert write("Hello")["Reply-To"] == "staff@care.example"
    assert write("Hello", reply_to="reply-1@in.care.example")["Reply-To"] == "reply-1@in.care.example"
    assert write("Hello")["Auto-Submitted"] == "auto-generated"


def test_a_preferences_link_names_a_member_and_a_topic_and_no_other():
    member = uuid4()
    token = make_preferences_link(member, Topic.REQUESTS).rpartition("/")[2]
    assert read_preferences_link(token) == (member, Topic.REQUESTS)
    for other in (token[:-1], f"reports{token.removeprefix('requests')}", "", "x.y.z", "\0", "é" * 300):
        assert read_preferences_link(other) is None


@pytest.mark.parametrize("value", ["messages.AAAA", "messages", "nothing.AAAAAAAAAAAAAAAAAAAAAA", "messages.é"])
def test_a_signed_text_that_is_no_link_opens_nothing(value):
    assert read_preferences_link(Signer(salt="carecollective.mail.preferences", sep=".").sign(value)) is None
