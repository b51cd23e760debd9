"""What a reply says: without the mail that it answers, whatever program wrote it."""

from email.message import EmailMessage

import pytest

from carecollective.inbox.replies.parsing import parse_mail, trim

SAID = "Yes, Monday is fine.\n\nSee you!"


@pytest.mark.parametrize(
    "rest",
    [
        "\n\nOn Mon, 23 Nov 2026 at 10:00, Care Collective <no-reply@care.example> wrote:\n\n> Hello\n> Ben wrote\n",
        "\n\nOn Mon, 23 Nov 2026 at 10:00, Care Collective <\nno-reply@care.example> wrote:\n> Hello\n",
        "\n\nAm 23.11.2026 um 10:00 schrieb Care Collective <x@care.example>:\n> Hello\n",
        "\n\nEl lun, 23 nov 2026 a las 10:00, Care Collective (<x@care.example>) escribió:\n> Hello\n",
        "\n\n-----Original Message-----\nFrom: Care Collective\nSent: Monday\nTo: Ada\nSubject: Groceries\n\nHello\n",
        "\n\n-- \nAda Lovelace\n+1 555 0100\n",
        "\n\nSent from my iPhone\n\n> On Nov 23, 2026, at 10:00, Care Collective <x@care.example> wrote:\n> \n> Hi\n",
    ],
    ids=["gmail", "gmail wrapped", "german", "spanish", "outlook", "signature", "iphone"],
)
def test_what_is_quoted_is_left_out(rest):
    assert trim(SAID + rest).removesuffix("\n\nSent from my iPhone") == SAID


def test_an_answer_below_the_quoted_mail_is_found():
    assert trim("> Hello\n> Ben wrote to you\n\nYes, please.\n") == "Yes, please."


def write(**parts):
    message = EmailMessage()
    message["From"] = "ada@example.org"
    if "text" in parts:
        message.set_content(parts["text"])
    if "html" in parts:
        (message.add_alternative if "text" in parts else message.set_content)(parts["html"], subtype="html")
    return message


def test_plain_text_comes_before_html():
    assert parse_mail(write(text="Plain.", html="<p>Marked up.</p>").as_bytes()).words == "Plain."


def test_html_alone_is_read_as_text():
    html = (
        "<html><head><style>p { color: red }</style></head><body><div>Yes, <b>please</b> &amp; thanks.<br>Ada</div>"
        '<div class="gmail_quote"><div>On Monday wrote:</div><blockquote>Hello<br></blockquote></div></body></html>'
    )
    assert parse_mail(write(html=html).as_bytes()).words == "Yes, please & thanks.\nAda"


def test_attachments_are_left_out():
    message = write(text="See the picture.")
    message.add_attachment(b"GIF89a", maintype="image", subtype="gif", filename="a.gif")
    message.add_attachment("not this", filename="a.txt")
    assert parse_mail(message.as_bytes()).words == "See the picture."


def test_softly_broken_lines_are_one():
    raw = (
        b"From: a@b.c\nContent-Type: text/plain; charset=utf-8; format=flowed\n\nOne long \nline.\nAnother.\n-- \nAda\n"
    )
    assert parse_mail(raw).words == "One long line.\nAnother."


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "windows-1252"])
def test_characters_are_what_they_were(charset):
    raw = f"From: a@b.c\nContent-Type: text/plain; charset={charset}\n\nCafé über\n".encode(charset)
    assert parse_mail(raw).words == "Café über"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0\xff\xfe",
        b"From: a@b.c\nContent-Type: text/plain; charset=nowhere\n\n\xff\0x",
        b"From: <<<>>> ,,,\nTo: \xff\xfe\nMessage-ID: \n\nx",
        b"From: a@b.c\nContent-Type: multipart/mixed\n\nx",
        b"From: a@b.c\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\n--x\nContent-Transfer-Encoding: base64\n\n!!!\n",
        b"From: a@b.c\nContent-Type: text/html\n\n</blockquote></p><blockquote><p></blockquote>x",
        b"From: =?utf-8?b?!!!?= <a@b.c>\nContent-Transfer-Encoding: uuencode\n\nbegin\n",
        b"From: a@b.c\n" + b"X: y\n" * 5000 + b"\nx",
    ],
)
def test_no_mail_is_our_fault(raw):
    found = parse_mail(raw)
    assert "\0" not in found.words
    assert found.key
