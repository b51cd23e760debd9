"""What a mail says, and how it looks: one letter, as plain text and as HTML, from the same parts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from carecollective.core.text import one_line
from carecollective.mail.topics import Topic, make_preferences_link

SUBJECT_MAX = 120
SHORT_MAX = 60


@dataclass(frozen=True, slots=True)
class Action:
    """What the reader can do: a button in HTML, and its label with the address below it in plain text."""

    label: str
    link: str


@dataclass(frozen=True, slots=True)
class Quote:
    """Somebody's own words. They are shown as text: no address in them becomes a link of ours."""

    words: str

    @property
    def lines(self) -> Sequence[str]:
        return self.words.splitlines()


@dataclass(frozen=True, slots=True)
class Code:
    """A code to type, large and alone on its line."""

    code: str


# Plain text is a paragraph.
Part = str | Action | Quote | Code


@dataclass(frozen=True, slots=True)
class Letter:
    """The content of a mail. `after` runs in the transaction that marks the mail as sent.

    `name` is whom it greets; leave it out when the address may not be theirs. `reply_to` is where an answer goes, where that
    is not `CONTACT_EMAIL`. `about` are the other members whom it names: their erasure deletes its file, where there is one.
    """

    subject: str
    parts: Sequence[Part]
    name: str = ""
    reply_to: str = ""
    about: frozenset[UUID] = frozenset()
    after: Callable[[], None] | None = None


class LetterMessage(EmailMultiAlternatives):
    """A mail with the ids of the members whom it names. Only the file backend reads them."""

    about: frozenset[UUID] = frozenset()


def shorten(text: str, longest: int = SHORT_MAX) -> str:
    """Return a title or name as one line that fits into a subject."""
    line = one_line(text)
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def message_id(mail_id: UUID) -> str:
    """Return the Message-ID of a mail, the same at every try."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return f"<{mail_id}@{domain or 'localhost'}>"


def render_letter(letter: Letter, *, mail_id: UUID, to: str, recipient_id: UUID, topic: Topic | None) -> LetterMessage:
    """Return the mail with both forms of the letter. With a `topic` it can be stopped with one click (RFC 8058)."""
    link = make_preferences_link(recipient_id, topic) if topic else ""
    subject = shorten(letter.subject, SUBJECT_MAX)
    context = {
        "subject": subject,
        "name": one_line(letter.name),
        # One line each, so that a title or name cannot look like a button of ours.
        "parts": [(type(part).__name__, one_line(part) if isinstance(part, str) else part) for part in letter.parts],
        "preferences_link": link,
        "site": settings.SITE_ADDRESS,
    }
    headers = {"Message-ID": message_id(mail_id), "Auto-Submitted": "auto-generated"}
    if link:
        headers |= {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    message = LetterMessage(
        subject,
        render_to_string("mail/letter.txt", context).strip() + "\n",
        to=[to],
        reply_to=[letter.reply_to or settings.CONTACT_EMAIL],
        headers=headers,
    )
    message.about = letter.about
    message.attach_alternative(render_to_string("mail/letter.html", context), "text/html")
    return message
