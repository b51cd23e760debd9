"""The mails about conversations: who, about which request, and what to do. The words themselves only by choice."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from carecollective.accounts.models import MailPace, User
from carecollective.accounts.preferences.services import is_quiet_now, read_preferences, wants_mail
from carecollective.core.database import ClockTimestamp, read_clock
from carecollective.core.text import SITE_NAME
from carecollective.inbox.models import ConversationMail, Notification
from carecollective.inbox.notifications.answering import may_answer
from carecollective.inbox.notifications.unread import News, Said, read_news
from carecollective.inbox.replies.addresses import make_reply_address
from carecollective.mail.letters import Action, Letter, Part, Quote, shorten
from carecollective.mail.queue import NotNow
from carecollective.mail.topics import Topic

QUOTED_AT_MOST = 5


def compose_conversation_news(member_id: UUID, reference: str) -> Letter | None:
    """Write the mail about one conversation as of now; None when nothing in it is unread.

    Raises NotNow in the quiet hours, and while the first unread word is younger than `MAIL_DELAY_SECONDS`.
    """
    conversation_id = UUID(reference)
    waiting = Notification.objects.filter(recipient=member_id, conversation_id=conversation_id)
    found = _read(member_id, waiting, conversation_id)
    if found is None:
        return None
    member, news, keys, shows_words = found
    delay = timedelta(seconds=settings.MAIL_DELAY_SECONDS)
    if news[0].since > read_clock() - delay:
        raise NotNow
    reply_to = _reply_address(member_id, news)
    return Letter(
        _subject(news[0]),
        [*_parts(news[0], shows_words=shows_words), _how_to_answer(news, reply_to)],
        name=member.name,
        reply_to=reply_to,
        about=_senders(news),
        after=lambda: _note_told(member_id, keys, news),
    )


def compose_daily_news(member_id: UUID) -> Letter | None:
    """Write the mail about all conversations with something unread; None when there is none. Raises NotNow."""
    found = _read(member_id, Notification.objects.filter(recipient=member_id), None)
    if found is None:
        return None
    member, news, keys, shows_words = found
    count = len(news)
    subject = ngettext(
        "%(count)d conversation waits for you at Care Collective",
        "%(count)d conversations wait for you at Care Collective",
        count,
    )
    reply_to = _reply_address(member_id, news)
    return Letter(
        _subject(news[0]) if count == 1 else subject % {"count": count},
        [*(part for one in news for part in _parts(one, shows_words=shows_words)), _how_to_answer(news, reply_to)],
        name=member.name,
        reply_to=reply_to,
        about=_senders(news),
        after=lambda: _note_told(member_id, keys, news),
    )


def _reply_address(member_id: UUID, news: Sequence[News]) -> str:
    """Return where a reply is taken into the conversation; empty for several, and where none would be taken."""
    is_taken = len(news) == 1 and news[0].takes_answers and any(one.words is not None for one in news[0].said)
    return make_reply_address(member_id, news[0].conversation_id) if is_taken else ""


def _how_to_answer(news: Sequence[News], reply_to: str) -> str:
    if reply_to:
        return _("You can also just reply to this mail.")
    if len(news) == 1:
        said = {"who": _names(news[0].said)}
        if not news[0].takes_answers:
            return _("What you send back by e-mail reaches our staff, and not %(who)s.") % said
        return _("Please answer on the site. What you send back by e-mail reaches our staff, and not %(who)s.") % said
    return _("Please answer on the site. What you send back by e-mail reaches our staff, and nobody else.")


def thread_link(conversation_id: UUID) -> str:
    """Return the link straight to the newest message of a conversation."""
    return f"{settings.SITE_ADDRESS}{reverse('thread', args=[conversation_id])}#latest"


def _read(
    member_id: UUID, waiting: QuerySet[Notification], conversation_id: UUID | None
) -> tuple[User, Sequence[News], Sequence[UUID], bool] | None:
    """Return the member, what to tell, the notifications that it settles, and whether the words are shown."""
    member = User.objects.get(pk=member_id)
    preferences = read_preferences(member_id)
    # Before anything is read: what comes meanwhile is told by the next mail.
    keys = list(waiting.filter(settled_at=None).values_list("pk", flat=True))
    is_wanted = wants_mail(preferences, Topic.MESSAGES) and member.is_active and bool(member.email)
    if is_wanted and conversation_id is not None and preferences.mail_pace == MailPace.DAILY:
        return None  # chosen meanwhile: the daily mail tells it
    if is_wanted and is_quiet_now(preferences, read_clock()):
        raise NotNow
    news = read_news(member_id, conversation_id) if is_wanted else ()
    if not news:
        _settle(keys)
        return None
    # It may have been closed, blocked or frozen since the words were written.
    news = [replace(one, takes_answers=may_answer(member, one.conversation_id)) for one in news]
    return member, news, keys, preferences.shows_words


def _note_told(member_id: UUID, keys: Sequence[UUID], news: Sequence[News]) -> None:
    _settle(keys)
    told = [
        ConversationMail(
            member_id=member_id,
            conversation_id=one.conversation_id,
            mailed_at=ClockTimestamp(),
            told_to=one.told_to,
        )
        for one in news
    ]
    ConversationMail.objects.bulk_create(
        told,
        update_conflicts=True,
        unique_fields=["member", "conversation_id"],
        update_fields=["mailed_at", "told_to"],
    )


def _settle(keys: Sequence[UUID]) -> None:
    Notification.objects.filter(pk__in=keys).update(settled_at=ClockTimestamp())


def _subject(news: News) -> str:
    said = {"who": shorten(_names(news.said)), "title": shorten(news.title)}
    if any(one.is_offer for one in news.said):
        return _("%(who)s offers to help: %(title)s") % said
    if all(one.words is None for one in news.said):
        return _("%(who)s would like to go on: %(title)s") % said
    return _("%(who)s wrote to you: %(title)s") % said


def _parts(news: News, *, shows_words: bool) -> Iterator[Part]:
    written = [one for one in news.said if one.words is not None]
    said = {"who": _names(news.said), "title": news.title, "count": len(written)}
    if any(one.is_offer for one in news.said):
        yield _("%(who)s offers to help with your request “%(title)s”.") % said
    elif written:
        yield (
            ngettext(
                "%(who)s wrote you a message about “%(title)s”.",
                "%(who)s wrote you %(count)d messages about “%(title)s”.",
                len(written),
            )
            % said
        )
    if len(written) < len(news.said):
        yield _("%(who)s would like to continue your conversation about “%(title)s” in the new messaging.") % said
    if shows_words:
        yield from (Quote(one.words or "") for one in written[-QUOTED_AT_MOST:])
    is_wished = len(written) < len(news.said)
    if written and not news.takes_answers and not is_wished:
        yield _("You cannot answer in this conversation at the moment. Its page says why, and whether you can go on.")
    label = _("Read and answer") if news.takes_answers else _("Go on with it") if is_wished else _("Read it")
    yield Action(label if written else _("Go on with it"), thread_link(news.conversation_id))


def _senders(news: Sequence[News]) -> frozenset[UUID]:
    return frozenset(said.sender_id for one in news for said in one.said if said.sender_id)


def _names(said: Sequence[Said]) -> str:
    """Name who wrote; in a legacy conversation that may be more than one, and the site itself."""
    names = dict.fromkeys(one.sender or SITE_NAME for one in said)
    return _(" and ").join(names)
