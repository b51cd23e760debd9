"""Read a mail that came in: who wrote it, to which address, and the words without what they quote."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.utils import getaddresses
from html.parser import HTMLParser

from mailparser_reply import EmailReplyParser

LANGUAGES = ["en", "de", "es", "fr", "it", "nl", "pl", "sv", "da", "cs"]
# Where a mail server notes the address that it delivered to; the header To may name others.
RECIPIENT_HEADERS = ("X-Original-To", "Delivered-To", "Envelope-To", "To", "Cc")
_AUTOMATIC_SENDERS = ("mailer-daemon@", "postmaster@", "no-reply@", "noreply@")
_AUTOMATIC_HEADERS = ("X-Autoreply", "X-Autorespond", "List-Id")
_AUTOMATIC_PRECEDENCES = ("bulk", "junk", "list", "auto_reply")
_SOFT_BREAK = re.compile(r"(?<!^--) \n(?!>)", re.MULTILINE)
_SIGNATURE = re.compile(r"^-- ?$.*", re.MULTILINE | re.DOTALL)
# "On Monday at 10:00, … <address> wrote:", in whatever language, before quoted lines.
_ATTRIBUTION = re.compile(r"^(?:.*\d[:.]\d\d.*\n)?.*(?:@|\d[:.]\d\d).*:[ \t]*\n+(?=>)", re.MULTILINE)
_QUOTED_LINE = re.compile(r"^>.*\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class IncomingMail:
    """A mail as far as a reply needs it. `key` is the same for a mail that is delivered again."""

    key: str
    sender: str
    recipients: Sequence[str]
    words: str
    is_automatic: bool


def parse_mail(raw: bytes) -> IncomingMail:
    """Read a mail. Attachments are left out; of a mail in HTML alone, its text is taken."""
    message = message_from_bytes(raw)
    senders = _addresses(message, "From")
    return IncomingMail(
        key=str(message.get("Message-ID", "")).strip() or hashlib.sha256(raw).hexdigest(),
        # Several authors are nobody in particular.
        sender=senders[0] if len(senders) == 1 else "",
        recipients=[address for name in RECIPIENT_HEADERS for address in _addresses(message, name)],
        words=trim(_text(message)),
        is_automatic=_is_automatic(message, senders),
    )


def trim(text: str) -> str:
    """Return what was written, without the mail that it answers and without the signature."""
    written = EmailReplyParser(languages=LANGUAGES).parse_reply(text=_ATTRIBUTION.sub("", text)) or ""
    return _QUOTED_LINE.sub("", _SIGNATURE.sub("", written)).strip()


def _addresses(message: Message, name: str) -> list[str]:
    found = getaddresses([str(value) for value in message.get_all(name, [])])
    return [address.lower() for _name, address in found if "@" in address]


def _is_automatic(message: Message, senders: Sequence[str]) -> bool:
    """Tell whether a program wrote this: a note of absence, a bounce, a list. Answering those could go on for ever."""
    return (
        str(message.get("Auto-Submitted", "no")).strip().lower().partition(";")[0] != "no"
        or str(message.get("Precedence", "")).strip().lower() in _AUTOMATIC_PRECEDENCES
        or str(message.get("Return-Path", "")).strip() == "<>"
        or any(name in message for name in _AUTOMATIC_HEADERS)
        or message.get_content_type() == "multipart/report"
        or not senders
        or senders[0].startswith(_AUTOMATIC_SENDERS)
    )


def _text(message: Message) -> str:
    parts = [part for part in message.walk() if part.get_content_disposition() != "attachment"]
    for part in parts:
        if part.get_content_type() == "text/plain":
            text = _decode(part)
            return _SOFT_BREAK.sub(" ", text) if part.get_param("format") == "flowed" else text
    for part in parts:
        if part.get_content_type() == "text/html":
            reader = _HtmlText()
            reader.feed(_decode(part))
            return re.sub(r"\n{3,}", "\n\n", "".join(reader.found))
    return ""


def _decode(part: Message) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    try:
        text = content.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        text = content.decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


class _HtmlText(HTMLParser):
    """The visible text of a mail in HTML, without what it quotes."""

    HIDDEN = frozenset({"blockquote", "head", "script", "style", "title"})
    BREAKS = frozenset({"br", "div", "li", "p", "tr"})
    # Gmail and Outlook put the quoted mail into such a box.
    QUOTES = ("gmail_quote", "moz-cite-prefix", "yahoo_quoted", "divRplyFwdMsg", "appendonsend")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = " ".join(value or "" for name, value in attrs if name in ("class", "id"))
        if self.hidden or tag in self.HIDDEN or any(quote in named for quote in self.QUOTES):
            if tag not in ("br", "img", "hr", "meta", "link", "input"):
                self.hidden.append(tag)
        elif tag in self.BREAKS:
            self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.hidden:
            while self.hidden.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.found.append(re.sub(r"\s+", " ", data))
