"""The bubbles of a thread and the cards of the list, in Python. A page has fifty, and each cost a hundred nodes of a template.

What a member or the legacy system wrote goes through `escape`. Django's function of that name calls this one for plain text.
"""

from collections.abc import Sequence
from html import escape
from uuid import UUID

from django import template
from django.template.context import RequestContext
from django.utils.safestring import SafeString

from carecollective.core.addresses import address_with_id
from carecollective.core.templatetags.forms import CsrfField
from carecollective.core.templatetags.member_times import time_element
from carecollective.core.text import excerpt
from carecollective.inbox.records import ConversationRow, LastMessage, MessageRecord, Shown
from carecollective.inbox.unread.context import MOST
from rollout.versions import MessagingVersion

register = template.Library()

# The name of whoever was erased: nobody is left to be reported.
FORMER_MEMBER = "Former member"
EXCERPT_LENGTH = 120
_LEGACY = '<span class="tag legacy">Legacy Conversation</span>'
_STATUSES = {"closed": '<span class="tag status">Closed</span>', "blocked": '<span class="tag status">Blocked</span>'}
_AUTOMATIC, _STAFF = '<span class="tag status">Automatic</span>', '<span class="tag status">Staff</span>'


@register.simple_tag
def message_bubbles(
    shown: Sequence[MessageRecord], *, conversation: UUID, reader: UUID, first_unread: MessageRecord | None
) -> SafeString:
    """Return the messages of a thread, with a mark above the first unread one."""
    report = address_with_id("thread-report", conversation)
    names = {name: escape(name) if name else "" for name in {message.sender_name for message in shown}}
    bubbles = []
    for message in shown:
        if message is first_unread:
            bubbles.append('<li class="unread-mark" id="latest">New messages</li>')
        bubbles.append(_bubble(message, names[message.sender_name], reader=reader, report=report))
    return SafeString("\n".join(bubbles))


def _bubble(message: MessageRecord, name: str, *, reader: UUID, report: str) -> str:
    is_mine = message.sender_id == reader
    kind = " system" if message.is_system else " mine" if is_mine else ""
    withheld = " withheld" if message.is_withheld else ""
    key = str(message.id) if message.id else ""
    identity = f'data-id="{key}"' if key else ""
    who = "Care Collective" if message.is_system else name or "A former member"
    tag = _AUTOMATIC if message.is_system else _STAFF if message.is_staff else ""
    when = time_element(message.created_at)
    if message.is_reported:
        link = '<span class="reported">You reported this.</span>'
    elif is_mine or message.is_system or message.is_withheld or message.sender_name == FORMER_MEMBER:
        link = ""
    else:
        address = f"{report}?message={key}" if key else report
        link = f"""<a class="report" href="{address}">
          Report<span class="unseen"> the message of {name or "a former member"},
            {when}</span>
        </a>"""
    return f"""<li class="bubble{kind}{withheld}"
      {identity}>
    <p class="who">{who}</p>
    <p class="words">{escape(message.content)}</p>
    <p class="when">
      {tag}
      {when}
      {link}
    </p>
  </li>"""


@register.simple_tag(takes_context=True)
def conversation_cards(context: RequestContext, rows: Sequence[ConversationRow]) -> SafeString:
    """Return the conversations of a list as cards, each with its menu."""
    reader, is_archive = context["user"].pk, context.get("shown") == Shown.ARCHIVED
    token = CsrfField().render(context)
    return SafeString("\n".join(_card(row, reader=reader, is_archive=is_archive, token=token) for row in rows))


def _card(row: ConversationRow, *, reader: UUID, is_archive: bool, token: str) -> str:
    title = escape(row.help_request.title) if row.help_request else None
    name = escape(row.other_participant.name) if row.other_participant else None
    unread = " unread" if row.unread_count else ""
    return f"""<li class="card conversation{unread}" data-key="{row.id}" data-unread="{row.unread_count}"
            data-from="{name or "a former member"}" data-testid="conversation-card">
          <h2>
            <a href="{address_with_id("thread", row.id)}#latest">
              {"A request that is no longer here" if title is None else title}
              <span class="unseen">with {name or "a former member"}</span>
            </a>
          </h2>
          <p class="byline">
            with {"a former member" if name is None else name}
            · {time_element(row.updated_at, "age")}
          </p>
          {_excerpt(row.last_message, reader)}
          <p class="tags">
            {_unread_tag(row)}
            {_LEGACY if row.version is MessagingVersion.V1 else ""}
            {_STATUSES.get(row.status, "")}
          </p>
          <details class="card-menu">
            <summary>
              <span aria-hidden="true">More</span>
              <span class="unseen">
                More for {"a request that is no longer here" if title is None else title},
                with {"a former member" if name is None else name}
              </span>
            </summary>
            <div class="actions">
              {"" if row.unread_count else _button("thread-unread", row.id, token, "Mark as unread")}
              {_archive_button(row.id, token, is_archive=is_archive)}
            </div>
          </details>
        </li>"""


def _excerpt(message: LastMessage | None, reader: UUID) -> str:
    if message is None:
        return '<p class="excerpt hint">Its first message never arrived.</p>'
    third = escape(message.third) if message.third else ""
    author = "Care Collective" if message.is_system else "You" if message.sender_id == reader else third
    hint = f'<span class="hint">{author}:</span>' if author else ""
    return f"""<p class="excerpt">
              {hint}
              {escape(excerpt(message.content, EXCERPT_LENGTH))}
            </p>"""


def _unread_tag(row: ConversationRow) -> str:
    if not row.unread_count:
        return ""
    if row.unread_count > MOST:
        return f'<span class="tag new">{MOST}+ new</span>'
    return f'<span class="tag new">{f"{row.unread_count} new" if row.has_new else "Unread"}</span>'


def _archive_button(key: UUID, token: str, *, is_archive: bool) -> str:
    if is_archive:
        return _button("thread-unarchive", key, token, "Take out of the archive")
    return _button("thread-archive", key, token, "Archive")


def _button(page: str, key: UUID, token: str, words: str) -> str:
    return (
        f'<form method="post" action="{address_with_id(page, key)}">'
        f'{token}<button type="submit" class="quiet">{words}</button></form>'
    )
