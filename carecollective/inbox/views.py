"""Pages about one request, where help is offered, and about conversations of either version."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from carecollective.accounts.models import User
from carecollective.accounts.pages import MemberRequest, member_page, signed_in_member
from carecollective.core.errors import DomainError, InvalidInput
from carecollective.help_requests.models import HelpRequest
from carecollective.help_requests.selectors import find_request
from carecollective.inbox import selectors, services
from carecollective.inbox.forms import MessageForm, OfferForm
from carecollective.inbox.mine.selectors import list_thanked
from carecollective.inbox.mine.site_words import open_thread_with_site_words
from carecollective.inbox.records import MessageRecord, Thread
from carecollective.inbox.unread.context import counted
from carecollective.messaging.errors import ConversationExists
from carecollective.web.api import parse_uuid, status_of
from carecollective.web.middleware import is_speculative
from carecollective.web.pages import CatchRefusals, ask_to_sign_in, public_page, render_page, render_part
from rollout.versions import MessagingVersion

# The same words sent again after going back, in this time, are the same message.
SAME_WITHIN = timedelta(hours=1)
JUST_SENT = "just-sent"


@public_page
def show_request(request: HttpRequest, help_request_id: UUID) -> HttpResponse:
    """Show one request; its owner sees the offers, others offer help here."""
    help_request = find_request(help_request_id)
    if request.method != "POST":
        return _render_request(request, help_request, OfferForm())
    if not request.user.is_authenticated:
        return ask_to_sign_in(request, _offer_address(help_request_id))
    return offer_help(request, help_request, request.user)


def offer_help(request: HttpRequest, help_request: HelpRequest, actor: User) -> HttpResponse:
    """Start the conversation and lead there; offering twice leads to the one that stands."""
    form = OfferForm(request.POST)
    with CatchRefusals(form) as attempt:
        try:
            started = services.offer_help(
                actor=actor, help_request_id=help_request.pk, initial_message=form.raw("initial_message")
            )
        except ConversationExists as standing:
            return redirect("thread", standing.conversation_id)
        return redirect("thread", started.conversation_id)
    return _render_request(request, help_request, form, refusal=attempt.error)


def _render_request(
    request: HttpRequest, help_request: HelpRequest, form: OfferForm, *, refusal: DomainError | None = None
) -> HttpResponse:
    context: dict[str, Any] = {
        "help_request": help_request,
        "form": form,
        "is_offering": form.is_bound or "offer" in request.GET,
        "may_pass": refusal is not None and status_of(refusal) >= 500,
        "offer_address": _offer_address(help_request.pk),
        "sign_in_address": redirect_to_login(_offer_address(help_request.pk)).url,
    }
    member = signed_in_member(request)
    if member is not None:
        if help_request.user_id == member.pk:
            context["is_owner"] = True
            offers = selectors.offers_on(owner=member, help_request_id=help_request.pk)
            context["offers"] = offers
            if offers:
                context["thanked"] = list_thanked(owner=member, help_request_id=help_request.pk)
        else:
            context["mine"], expected, unread = selectors.before_offering(member=member, help_request=help_request)
            context |= counted(unread)
            # Where an offer was just refused, the page says why already.
            context["paused"] = None if refusal else expected
    return render_page(request, "inbox/request.html", context, refusal=refusal)


def _offer_address(help_request_id: UUID) -> str:
    return f"{reverse('request-detail', args=[help_request_id])}?offer=1#id_initial_message"


@member_page
def show_thread(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    """Show a conversation of either version, and take a new message."""
    if request.method != "POST":
        return _render_thread(request, conversation_id, MessageForm())
    form = MessageForm(request.POST)
    with CatchRefusals(form, content="message") as attempt:
        sent = services.send_message(
            actor=request.user,
            conversation_id=conversation_id,
            content=form.raw("message"),
            message_id=form.idempotency_key("message"),
            last_sent=parse_uuid(form.raw("last_sent")) if form.raw("last_sent") else None,
        )
        # On the next page the same words are a new message; after Back they are the same message.
        messages.info(request, str(sent.message.id), extra_tags=JUST_SENT)
        return redirect(f"{request.path}#latest")
    return _render_thread(request, conversation_id, form, refusal=attempt.error)


@member_page
def show_latest(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    """Return the latest messages as the thread shows them, for a page that stays open. It marks nothing as read."""
    thread = open_thread_with_site_words(reader=request.user, conversation_id=conversation_id, mark_read=False)
    shown = thread.shown
    return render_part(
        request,
        "inbox/messages.html",
        {"conversation_id": conversation_id, "shown": shown, "first_unread": None},
        version=shown,
    )


@member_page
def continue_in_v2(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    """Go on with a frozen legacy conversation in the new messaging, as its helper."""
    if request.method != "POST":
        return redirect("thread", conversation_id)
    form = OfferForm(request.POST)
    with CatchRefusals(form) as attempt:
        try:
            started = services.continue_in_v2(
                actor=request.user,
                conversation_id=conversation_id,
                initial_message=form.raw("initial_message"),
            )
        except ConversationExists as standing:
            return redirect("thread", standing.conversation_id)
        return redirect("thread", started.conversation_id)
    return _render_thread(request, conversation_id, MessageForm(), continue_form=form, refusal=attempt.error)


@member_page
def ask_to_continue(request: MemberRequest, conversation_id: UUID) -> HttpResponse:
    """Ask the helper of a frozen legacy conversation to go on, as its requester."""
    if request.method == "POST":
        services.ask_to_continue(actor=request.user, conversation_id=conversation_id)
    return redirect("thread", conversation_id)


def _render_thread(
    request: MemberRequest,
    conversation_id: UUID,
    form: MessageForm,
    *,
    continue_form: OfferForm | None = None,
    refusal: DomainError | None = None,
) -> HttpResponse:
    before = _parse_before(request)
    # Older messages or a refusal do not show the new ones, and a prefetch is nobody's visit.
    thread = open_thread_with_site_words(
        reader=request.user,
        conversation_id=conversation_id,
        before=before,
        mark_read=before is None and refusal is None and not is_speculative(request),
    )
    shown = thread.shown
    first_unread = _find_first_unread(thread, shown, request.user) if before is None and refusal is None else None
    if not form.is_bound and not is_speculative(request):
        form.initial["last_sent"] = _sent_lately(request, thread)
    context = {
        "thread": thread,
        # The templates ask for these three often, and each dot in a name costs.
        "conversation_id": conversation_id,
        "help_request": thread.help_request,
        "other": thread.other_participant,
        "shown": shown,
        "first_unread": first_unread,
        "before": before,
        "oldest_id": thread.messages[0].id if thread.messages else None,
        "form": form,
        "continue_form": continue_form or (OfferForm() if thread.way_on else None),
        "refusal": refusal,
    }
    return render_page(request, "inbox/thread.html", context | counted(thread.unread), refusal=refusal)


def _sent_lately(request: MemberRequest, thread: Thread) -> UUID | None:
    """Return the reader's newest message, unless it is old or was sent by the form that led here."""
    just_sent = {said.message for said in messages.get_messages(request) if JUST_SENT in said.tags.split()}
    my_id = request.user.pk
    mine = (message for message in reversed(thread.messages) if message.sender_id == my_id and not message.is_system)
    newest = next(mine, None)
    said_at = newest.created_at if newest else None
    if newest is None or said_at is None or str(newest.id) in just_sent or timezone.now() - said_at > SAME_WITHIN:
        return None
    return newest.id


def _parse_before(request: HttpRequest) -> UUID | None:
    text = request.GET.get("before", "")
    try:
        return parse_uuid(text) if text else None
    except InvalidInput:
        raise InvalidInput(_("This page link is no longer valid. Please open the conversation again.")) from None


def _find_first_unread(thread: Thread, shown: Sequence[MessageRecord], reader: User) -> MessageRecord | None:
    """Return the oldest message shown that the reader has not seen, if there is one."""
    read_to = thread.read_to
    if read_to is None and thread.conversation.version is MessagingVersion.V1:
        return None  # read on the former site, as far as we know
    for message in shown:
        is_new = read_to is None or bool(message.created_at and message.created_at > read_to)
        if is_new and message.sender_id != reader.pk and message not in thread.site_words:
            return message
    return None
