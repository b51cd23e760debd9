"""Who may: one row for each address and method, one column for each kind of person.

A number is the answer's status. LOGIN leads to the site's sign-in, STAFF to the admin's; AWAY is any other redirect.
"""

from dataclasses import dataclass, field
from typing import Any

LOGIN, STAFF, AWAY = "sign in", "staff sign in", "away"
# What a visitor has typed is shown to them again, with the way to sign in.
KEPT = 401
PEOPLE = ("anyone", "waiting", "stranger", "helper", "owner", "staff", "superuser")

Answer = int | str


@dataclass(frozen=True, slots=True)
class Row:
    """What each of PEOPLE is answered; `body` is what a POST says."""

    answers: tuple[Answer, ...]
    body: dict[str, Any] = field(default_factory=dict)


def everyone(answer: Answer, **body: Any) -> Row:
    return Row((answer,) * len(PEOPLE), body)


def members(answer: Answer, *, anyone: Answer = LOGIN, waiting: Answer | None = None, **body: Any) -> Row:
    first = answer if waiting is None else waiting
    return Row((anyone, first, *(answer,) * (len(PEOPLE) - 2)), body)


def participants(answer: Answer, *, others: Answer = 404, anyone: Answer = LOGIN, **body: Any) -> Row:
    """The conversation's helper and requester; staff and superusers are strangers to it."""
    return Row((anyone, others, others, answer, answer, others, others), body)


def owners(answer: Answer, *, anyone: Answer = LOGIN, **body: Any) -> Row:
    return Row((anyone, 404, 404, 404, answer, 404, 404), body)


def offers(answer: Answer, *, anyone: Answer, own: Answer, waiting: Answer, **body: Any) -> Row:
    """Everybody else's request, once approved."""
    return Row((anyone, waiting, answer, answer, own, answer, answer), body)


def staffs(staff: Answer, superuser: Answer, *, others: Answer = STAFF, **body: Any) -> Row:
    return Row((*(others,) * 5, staff, superuser), body)


HELLO = "Hello, I can help with this."

# By method and the route as the URL configuration spells it.
SITE: dict[tuple[str, str], Row] = {
    ("GET", "favicon.ico"): everyone(AWAY),
    ("POST", "favicon.ico"): everyone(AWAY),
    ("GET", "admin"): everyone(AWAY),
    ("POST", "admin"): everyone(AWAY),
    ("GET", "api/health"): everyone(200),
    ("POST", "api/health"): everyone(405),
    ("GET", "api/health/live"): everyone(200),
    ("POST", "api/health/live"): everyone(405),
    ("GET", "api/schema"): everyone(200),
    ("GET", "api/docs"): everyone(200),
    ("POST", "api/auth/token"): everyone(401, email="nobody@example.org", password="wrong"),
    ("GET", "api/auth/tokens"): members(200, anyone=401),
    # The id is of no token of theirs.
    ("DELETE", "api/auth/tokens/<str:token_id>"): members(404, anyone=401),
    ("POST", "api/auth/sign-out"): members(204, anyone=401),
    ("GET", "api/help-requests"): members(200, anyone=401),
    ("POST", "api/help-requests"): members(
        201, anyone=401, waiting=403, title="Milk", description="", category="other", urgency="normal"
    ),
    ("GET", "api/help-requests/<str:help_request_id>"): members(200, anyone=401),
    ("POST", "api/messaging/help-requests/<str:help_request_id>/start-conversation"): offers(
        201, anyone=401, waiting=403, own=400, initial_message=HELLO
    ),
    ("GET", "api/messaging/conversations"): members(200, anyone=401),
    ("GET", "api/messaging/conversations/<str:conversation_id>"): participants(200, anyone=401),
    ("GET", "api/messaging/conversations/<str:conversation_id>/messages"): participants(200, anyone=401),
    ("POST", "api/messaging/conversations/<str:conversation_id>/messages"): participants(
        201, anyone=401, content=HELLO
    ),
    # Nothing to continue here: it is V2's already.
    ("POST", "api/messaging/conversations/<str:conversation_id>/continue"): participants(
        400, anyone=401, initial_message=HELLO
    ),
    ("POST", "api/messaging/conversations/<str:conversation_id>/ask"): participants(400, anyone=401),
    ("POST", "api/messaging/conversations/<str:conversation_id>/read"): participants(204, anyone=401),
    **{
        ("POST", f"api/messaging/conversations/<str:conversation_id>/{action}"): participants(204, anyone=401)
        for action in ("close", "reopen", "block", "unblock")
    },
    ("POST", "api/messaging/conversations/<str:conversation_id>/report"): participants(204, anyone=401, reason="other"),
    ("GET", "api/rollout/me"): members(200, anyone=401),
    ("GET", "api/rollout/status"): Row((401, 403, 403, 403, 403, 403, 200)),
    ("GET", "metrics"): everyone(200),
    ("POST", "metrics"): everyone(405),
    ("GET", "login"): members(AWAY, anyone=200),
    ("POST", "login"): everyone(400, email="nobody@example.org", password="wrong"),
    ("GET", "password"): everyone(400),
    ("POST", "password"): everyone(400, password="wrong"),
    ("GET", "logout"): everyone(200),
    ("POST", "logout"): everyone(AWAY),
    ("GET", "signup"): members(AWAY, anyone=200),
    ("POST", "signup"): members(AWAY, anyone=400),
    ("GET", "login/code"): members(AWAY, anyone=200),
    ("POST", "login/code"): members(AWAY, anyone=400, email="nonsense"),
    # Nobody has asked for a code.
    ("GET", "login/code/confirm"): members(AWAY),
    ("POST", "login/code/confirm"): members(AWAY),
    ("GET", "password/forgotten"): everyone(200),
    ("POST", "password/forgotten"): everyone(400, email="nonsense"),
    ("GET", "account/email"): members(200),
    ("POST", "account/email"): members(400, anyone=KEPT, email="new@example.org", password="wrong"),
    ("GET", "account/email/code"): members(AWAY),
    ("POST", "account/email/code"): members(AWAY),
    ("GET", "account/email/send-code"): members(AWAY),
    ("POST", "account/email/send-code"): members(AWAY),
    # Nobody is in the middle of signing in, or has confirmed a moment ago that it is they.
    ("GET", "login/second-factor"): members(AWAY),
    ("POST", "login/second-factor"): members(AWAY),
    ("GET", "login/passkey"): members(AWAY),
    ("POST", "login/passkey"): members(AWAY),
    # None of them has a password to confirm with.
    ("GET", "account/confirm"): members(AWAY),
    ("POST", "account/confirm"): members(AWAY, password="wrong"),
    ("GET", "account/confirm/second-factor"): members(AWAY),
    ("POST", "account/confirm/second-factor"): members(AWAY),
    ("GET", "account/confirm/passkey"): members(AWAY),
    ("POST", "account/confirm/passkey"): members(AWAY),
    ("GET", "account/second-factor"): members(200),
    ("POST", "account/second-factor"): members(405),
    ("GET", "account/second-factor/app"): members(AWAY),
    ("POST", "account/second-factor/app"): members(AWAY),
    ("GET", "account/second-factor/app/remove"): members(404),
    ("POST", "account/second-factor/app/remove"): members(404),
    ("GET", "account/second-factor/codes"): members(404),
    ("POST", "account/second-factor/codes"): members(405),
    ("GET", "account/second-factor/codes/new"): members(AWAY),
    ("POST", "account/second-factor/codes/new"): members(AWAY),
    ("GET", "account/passkeys/add"): members(AWAY),
    ("POST", "account/passkeys/add"): members(AWAY),
    ("GET", "account/passkeys/remove"): members(404),
    ("POST", "account/passkeys/remove"): members(404),
    ("GET", "account/password"): members(200),
    ("POST", "account/password"): members(400, old_password="wrong", password="wrong"),
    ("GET", "account"): members(200),
    # Staff keep their name, under which they are on record.
    ("POST", "account"): Row((KEPT, AWAY, AWAY, AWAY, AWAY, 400, 400), {"name": "Same"}),
    ("GET", "account/tokens/<str:token_id>"): members(AWAY),
    # The id is of no token of theirs.
    ("POST", "account/tokens/<str:token_id>"): members(404),
    # The token is of no link of ours.
    ("GET", "mail/<str:preferences_token>"): everyone(400),
    ("POST", "mail/<str:preferences_token>"): everyone(400),
    ("GET", "account/time-zone"): members(AWAY),
    ("POST", "account/time-zone"): members(204, anyone=KEPT, time_zone="Europe/Berlin"),
    ("GET", "account/sessions/<str:session_id>"): members(AWAY),
    # The id is of no session of theirs.
    ("POST", "account/sessions/<str:session_id>"): members(404),
    ("GET", "account/sessions/others"): members(AWAY),
    ("POST", "account/sessions/others"): members(AWAY),
    ("GET", "account/sign-out"): members(AWAY),
    ("POST", "account/sign-out"): members(AWAY),
    ("GET", "help"): everyone(200),
    ("POST", "help"): everyone(200),
    ("GET", "contact"): everyone(200),
    ("POST", "contact"): Row((400, *(AWAY,) * 6), {"text": "Hello"}),
    ("GET", ""): everyone(AWAY),
    ("POST", ""): everyone(AWAY),
    ("GET", "requests"): everyone(200),
    ("POST", "requests"): everyone(200),
    ("GET", "requests/new"): members(200),
    ("POST", "requests/new"): members(AWAY, anyone=KEPT, waiting=403, title="Milk", category="other", urgency="normal"),
    ("GET", "requests/<uuid:help_request_id>"): everyone(200),
    ("POST", "requests/<uuid:help_request_id>"): offers(AWAY, anyone=KEPT, waiting=403, own=400, initial_message=HELLO),
    ("GET", "requests/<uuid:help_request_id>/complete"): members(AWAY),
    ("POST", "requests/<uuid:help_request_id>/complete"): owners(AWAY),
    ("GET", "requests/<uuid:help_request_id>/cancel"): members(AWAY),
    ("POST", "requests/<uuid:help_request_id>/cancel"): owners(AWAY),
    ("GET", "requests/<uuid:help_request_id>/reopen"): members(AWAY),
    ("POST", "requests/<uuid:help_request_id>/reopen"): owners(AWAY),
    ("GET", "requests/<uuid:help_request_id>/keep-open"): members(AWAY),
    ("POST", "requests/<uuid:help_request_id>/keep-open"): owners(AWAY),
    ("GET", "my/requests"): members(200),
    ("POST", "my/requests"): members(200),
    ("GET", "my/offers"): members(200),
    ("POST", "my/offers"): members(200),
    ("GET", "messages"): members(200),
    ("POST", "messages"): members(200),
    ("GET", "messages/latest"): members(200),
    ("POST", "messages/latest"): members(200),
    ("GET", "messages/<uuid:conversation_id>"): participants(200),
    ("POST", "messages/<uuid:conversation_id>"): participants(AWAY, anyone=KEPT, message=HELLO),
    ("GET", "messages/<uuid:conversation_id>/latest"): participants(200),
    ("POST", "messages/<uuid:conversation_id>/latest"): participants(200),
    ("GET", "messages/<uuid:conversation_id>/continue"): members(AWAY),
    # Nothing to continue here: it is V2's already.
    ("POST", "messages/<uuid:conversation_id>/continue"): participants(400, anyone=KEPT, initial_message=HELLO),
    ("GET", "messages/<uuid:conversation_id>/ask"): members(AWAY),
    ("POST", "messages/<uuid:conversation_id>/ask"): participants(400),
    ("GET", "messages/<uuid:conversation_id>/unread"): members(AWAY),
    ("POST", "messages/<uuid:conversation_id>/unread"): participants(AWAY),
    ("GET", "messages/<uuid:conversation_id>/archive"): members(AWAY),
    ("POST", "messages/<uuid:conversation_id>/archive"): participants(AWAY),
    ("GET", "messages/<uuid:conversation_id>/unarchive"): members(AWAY),
    ("POST", "messages/<uuid:conversation_id>/unarchive"): participants(AWAY),
    ("GET", "messages/<uuid:conversation_id>/close"): members(AWAY),
    ("POST", "messages/<uuid:conversation_id>/close"): participants(AWAY),
    ("GET", "messages/<uuid:conversation_id>/thank"): members(AWAY),
    # The request is not completed.
    ("POST", "messages/<uuid:conversation_id>/thank"): participants(400),
    ("GET", "messages/<uuid:conversation_id>/reopen"): members(AWAY),
    ("POST", "messages/<uuid:conversation_id>/reopen"): participants(AWAY),
    ("GET", "messages/<uuid:conversation_id>/block"): members(AWAY),
    ("POST", "messages/<uuid:conversation_id>/block"): participants(AWAY),
    ("GET", "messages/<uuid:conversation_id>/unblock"): members(AWAY),
    ("POST", "messages/<uuid:conversation_id>/unblock"): participants(AWAY),
    ("GET", "account/blocks/<uuid:block_id>"): members(AWAY),
    # The id is of no block of theirs.
    ("POST", "account/blocks/<uuid:block_id>"): members(404),
    # The helper has said it: nobody reports their own message.
    ("GET", "messages/<uuid:conversation_id>/report"): Row((LOGIN, 404, 404, 400, 200, 404, 404)),
    ("POST", "messages/<uuid:conversation_id>/report"): Row(
        (KEPT, 404, 404, 400, AWAY, 404, 404), {"reason": "other", "words": "Please look"}
    ),
    ("GET", "messages/<uuid:conversation_id>/participant/report"): participants(200),
    ("POST", "messages/<uuid:conversation_id>/participant/report"): participants(AWAY, anyone=KEPT, reason="other"),
    # Nobody reports themselves.
    ("GET", "requests/<uuid:help_request_id>/report"): Row((LOGIN, 200, 200, 200, 400, 200, 200)),
    ("POST", "requests/<uuid:help_request_id>/report"): Row(
        (KEPT, AWAY, AWAY, AWAY, 400, AWAY, AWAY), {"reason": "other"}
    ),
    ("GET", "account/export"): members(AWAY),
    ("POST", "account/export"): members(AWAY),
    # The id is of no export of theirs.
    ("GET", "account/export/<uuid:export_id>"): members(404),
    ("POST", "account/export/<uuid:export_id>"): members(404),
    ("GET", "account/erase"): members(200),
    ("POST", "account/erase"): members(400, password="wrong"),
    ("GET", "account/erased"): members(AWAY, anyone=200),
    ("POST", "account/erased"): members(AWAY, anyone=200),
}

# What is the same for all of the admin: its door, and the pages of its own.
ADMIN: dict[tuple[str, str], Row] = {
    ("GET", "admin/"): staffs(200, 200),
    ("GET", "admin/records/"): staffs(200, 200),
    ("GET", "admin/applicants/"): staffs(200, 200),
    # Nobody is ticked.
    ("POST", "admin/applicants/"): staffs(400, 400),
    ("GET", "admin/unanswered/"): staffs(200, 200),
    ("GET", "admin/rollout/"): staffs(403, 200),
    ("POST", "admin/rollout/"): staffs(403, 400),
    ("GET", "admin/rollout/live"): staffs(403, 200),
    ("GET", "admin/rollout/acceptance"): staffs(403, 200),
    ("POST", "admin/rollout/acceptance"): staffs(403, 400),
    ("GET", "admin/login/"): Row((200, *(403,) * 4, AWAY, AWAY)),
    ("GET", "admin/password_change/"): staffs(200, 200),
    ("GET", "admin/password_change/done/"): staffs(200, 200),
    ("GET", "admin/autocomplete/"): staffs(403, 403),
    ("GET", "admin/jsi18n/"): staffs(200, 200),
    ("GET", "admin/r/<path:content_type_id>/<path:object_id>/"): staffs(404, 404),
    ("GET", "admin/<app>/"): staffs(200, 200),
    ("GET", "admin/logout/"): staffs(405, 405, others=AWAY),
    # Nobody sets another's password.
    ("GET", "admin/accounts/user/<id>/password/"): staffs(403, 403),
    ("POST", "admin/accounts/user/<id>/password/"): staffs(403, 403),
    # What once was a row's address leads to its page, for whoever may see that.
    ("GET", "admin/<model>/<path:object_id>/"): staffs(AWAY, AWAY),
    ("GET", "admin/<anything else>"): staffs(404, 404),
}

VIEWS = ("changelist", "add", "history", "delete", "change")
NOTHING: tuple[Answer, ...] = (403,) * len(VIEWS)
READ: tuple[Answer, ...] = (200, 403, 200, 403, 200)
EVERYTHING: tuple[Answer, ...] = (200,) * len(VIEWS)

# For each model that the admin shows: what staff without further permission get from each of VIEWS, and superusers.
# Conversations, messages, tokens and sessions are in nobody's list, and are not to be.
MODELS: dict[str, tuple[tuple[Answer, ...], tuple[Answer, ...]]] = {
    "accounts_user": (READ, READ),
    "auth_group": (NOTHING, READ),
    "axes_accessattempt": (NOTHING, (200, 403, 200, 200, 200)),
    "axes_accessfailurelog": (NOTHING, (200, 403, 200, 200, 200)),
    "axes_accesslog": (NOTHING, (200, 403, 200, 200, 200)),
    "contact_contactmessage": (READ, READ),
    "help_requests_helprequest": (READ, READ),
    # Mail that has not arrived: to whom, what for and why, and never what it says.
    "mail_outgoingmail": (READ, READ),
    # Reported messages with a few around them; every access is recorded.
    "moderation_report": ((200, 404, AWAY, 403, 200), (200, 404, AWAY, 403, 200)),
    "rollout_change": (NOTHING, READ),
}
