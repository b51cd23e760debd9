"""Rehearses what members and staff do on the site, as the web role. Everything is rolled back."""

import re
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, BasePasswordHasher, identify_hasher
from django.db import DatabaseError, connection, transaction
from django.test import Client, override_settings
from django.urls import reverse

from carecollective.accounts.models import User
from carecollective.accounts.services import approve_member
from carecollective.accounts.sign_in.codes import code_of
from carecollective.core.database import acting_as, discarding_changes, execute, fetch_all
from carecollective.core.errors import DomainError
from carecollective.help_requests.models import Category, HelpRequest, Urgency
from carecollective.help_requests.services import post_request
from carecollective.mail.models import OutgoingMail
from carecollective.privacy.archive import build_archive
from carecollective.privacy.erasure import scrub
from messaging_v1.models import Conversation
from messaging_v1.selectors import read_conversation
from messaging_v1.services import send_legacy_message, start_legacy_conversation

P = ParamSpec("P")
T = TypeVar("T")

PASSWORD = "three quiet garden lamps"  # noqa: S105 -- of a member who is taken back at once
WORDS = "A rehearsal of the takeover, which is taken back at once."
# The static files may not be collected yet.
PLAIN_FILES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
_CALLED = re.compile(r"(?:PL/pgSQL function|SQL function) \"?(?:[\w]+\.)?(\w+)")
# One request for each combination of status, category and urgency.
_REQUESTS = "SELECT (array_agg(id ORDER BY id))[1] FROM help_requests GROUP BY status, category, urgency LIMIT 40"
# The member with the most legacy conversations.
_BUSIEST_MEMBER = """
SELECT p.id FROM profiles p LEFT JOIN conversation_participants c ON c.user_id = p.id
WHERE NOT p.is_superuser AND NOT coalesce(p.is_admin, false)
GROUP BY p.id ORDER BY count(c.user_id) DESC, p.id LIMIT 1
"""
ACCESS_LOG = "carecollective.web.middleware.AccessMiddleware"


class StepFailed(Exception):
    """A step did not end as expected. The message says how."""


class Rehearsal:
    """One run. `failures` has a sentence for each failed step; `steps` counts all steps."""

    def __init__(self, *, busiest: UUID | None) -> None:
        """`busiest` is a legacy member to export and erase. The web role cannot find one itself."""
        self.busiest = busiest
        self.failures: list[str] = []
        self.steps = 0
        self._refused_by: DatabaseError | None = None

    def run(self) -> None:
        """Run all steps in one transaction that is rolled back, over the web role's connection."""
        with (
            override_settings(
                STORAGES=PLAIN_FILES,
                # WhiteNoise warns of a missing folder, and before the first start nothing is collected.
                STATIC_ROOT=settings.BASE_DIR / "static",
                # These are no visits: keep them out of the access log and the command's output.
                MIDDLEWARE=[name for name in settings.MIDDLEWARE if name != ACCESS_LOG],
            ),
            discarding_changes(),
            connection.execute_wrapper(self._remember_refusal),
        ):
            self._read_pages()
            self._sign_in_with_each_kind_of_hash()
            requester, helper, staff = (
                self._try("signing up", self._sign_up, name) for name in ("Requester", "Helper", "Staff")
            )
            if requester and helper and staff:
                self._use_the_site(requester, helper, staff)

    def _read_pages(self) -> None:
        visitor = _browser()
        for address in map(reverse, ("requests", "login", "signup", "help")):
            self._try(f"reading the page {address}", _get, visitor, address)
        for (key,) in fetch_all(_REQUESTS):
            self._try(f"reading the request {key}", _get, visitor, reverse("request-detail", args=[key]))

    def _sign_in_with_each_kind_of_hash(self) -> None:
        kinds: dict[str, User] = {}
        for member in (
            User.objects.filter(is_active=True).exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX).order_by("pk")
        ):
            kinds.setdefault(_kind_of(member.password), member)
        for kind, member in kinds.items():
            self._try(f"signing in with a password kept as {kind}", _sign_in_as, member)

    def _sign_up(self, name: str) -> User:
        address = f"{name.lower()}.{uuid4()}@rehearsal.invalid"
        form = {"name": f"Rehearsal {name}", "email": address, "password": PASSWORD}
        client = _browser()
        _expect(client.post(reverse("signup"), form, secure=True).status_code, 302)
        member = User.objects.get(email=address)
        reference = OutgoingMail.objects.values_list("reference", flat=True).get(recipient=member)
        code = {"code": code_of(reference, member)}
        _expect(client.post(reverse("account_email_verification_sent"), code, secure=True).status_code, 302)
        _get(client, reverse("account"))
        return member

    def _use_the_site(self, requester: User, helper: User, staff: User) -> None:
        User.objects.filter(pk=staff.pk).update(is_staff=True, is_superuser=True)
        staff.refresh_from_db()
        for applicant in (requester, helper):
            self._try("approving a member by staff", approve_member, actor=staff, member_id=applicant.pk)
            applicant.refresh_from_db()
        request = self._try("posting a request", _post_request, requester)
        if request is not None:
            conversation = self._try("starting a conversation in the legacy tables", _start, helper, request)
            if conversation is not None:
                self._try("sending into the legacy tables", _answer, requester, helper, conversation)
        everybody = User.objects.in_bulk([key for key in (requester.pk, self.busiest) if key])
        for member in everybody.values():
            self._try("putting together a copy of a member's data", _export, member)
            self._try("erasing a member by staff", _erase, staff, member)
        self._try("erasing oneself", _erase, helper, helper)

    def _try(self, step: str, action: Callable[P, T], /, *args: P.args, **given: P.kwargs) -> T | None:
        self.steps += 1
        self._refused_by = None
        try:
            with transaction.atomic():
                result = action(*args, **given)
                # Check deferred constraints now, because there will be no commit.
                execute("SET CONSTRAINTS ALL IMMEDIATE")
        except (DatabaseError, DomainError, StepFailed) as failure:
            sentence = f"{step[0].upper()}{step[1:]} fails: {self._reason(failure)}"
            if sentence not in self.failures:
                self.failures.append(sentence)
            return None
        return result

    def _reason(self, failure: Exception) -> str:
        refused = failure if isinstance(failure, DatabaseError) else self._refused_by
        if refused is None:
            return f"{str(failure).rstrip('.')}."
        return f"{'; '.join(_explain(refused))}."

    def _remember_refusal(self, run: Callable[..., Any], *statement: Any) -> Any:
        """Keep the server's first error, because a page hides it behind a sentence of its own."""
        try:
            return run(*statement)
        except DatabaseError as error:
            self._refused_by = self._refused_by or error
            raise


def rehearse(*, busiest: UUID | None) -> Rehearsal:
    """Rehearse the site over this thread's connection, which must be the web role's; return the finished rehearsal."""
    rehearsal = Rehearsal(busiest=busiest)
    rehearsal.run()
    return rehearsal


def find_busiest_member() -> UUID | None:
    """Return the member with the most legacy conversations. Called as the owner."""
    return next((key for (key,) in fetch_all(_BUSIEST_MEMBER)), None)


def _explain(error: DatabaseError) -> Iterator[str]:
    """Yield the server's message and the trigger that caused it, never the values."""
    diagnosis = getattr(error.__cause__, "diag", None)
    yield str(getattr(diagnosis, "message_primary", None) or type(error.__cause__ or error).__name__).rstrip(".")
    called = _CALLED.findall(getattr(diagnosis, "context", None) or "")
    found = fetch_all(
        "SELECT DISTINCT t.tgname, t.tgrelid::regclass::text, p.oid::regprocedure::text FROM pg_trigger t"
        " JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal AND p.proname = ANY (%s) ORDER BY 2, 1",
        [called],
    )
    for trigger, table, function in found:
        yield (
            f"this is the trigger {trigger} on {table}: as the owner of its function, run ALTER FUNCTION {function}"
            " SECURITY DEFINER SET search_path = public, pg_temp"
        )


def _kind_of(password: str) -> str:
    """Return the hash's algorithm and prefix, such as legacy_bcrypt $2a$."""
    algorithm, _dollar, rest = password.partition("$")
    mark = re.match(r"\$?\w{1,9}\$", rest)
    return f"{algorithm} {mark[0]}" if mark and algorithm.startswith("legacy") else algorithm


def _sign_in_as(member: User) -> None:
    """Give the member a password of the same kind within this transaction, and sign in with it."""
    try:
        hasher: BasePasswordHasher = identify_hasher(member.password)
    except ValueError:
        raise StepFailed("the site does not know this kind of hash") from None
    salt: Any = hasher.salt() if hasher.algorithm != "legacy_bcrypt" else member.password.split("$", 1)[1][:29].encode()
    known = hasher.encode(PASSWORD, salt)
    User.objects.filter(pk=member.pk).update(password=known)
    client = _browser()
    answer = client.post(reverse("login"), {"email": member.email, "password": PASSWORD}, secure=True)
    _expect(answer.status_code, 302)
    if client.session.get(SESSION_KEY) != str(member.pk):
        raise StepFailed("somebody else was signed in")
    for address in map(reverse, ("account", "messages", "api-help-requests", "api-conversations")):
        _get(client, address)


def _browser() -> Client:
    # Every site accepts this host name.
    return Client(SERVER_NAME="localhost")


def _get(client: Client, address: str) -> None:
    answer = client.get(address, secure=True)
    if answer.status_code != 200:
        raise StepFailed(f"{address} answers {answer.status_code}")


def _expect(found: int, expected: int) -> None:
    if found != expected:
        raise StepFailed(f"the page answers {found}")


def _post_request(actor: User) -> HelpRequest:
    return post_request(
        actor=actor, title="A rehearsal", description=WORDS, category=Category.OTHER, urgency=Urgency.NORMAL
    )


def _start(helper: User, request: HelpRequest) -> Conversation:
    return start_legacy_conversation(actor=helper, help_request_id=request.pk, initial_message=WORDS)


def _answer(requester: User, helper: User, conversation: Conversation) -> None:
    sent = send_legacy_message(actor=requester, conversation_id=conversation.pk, content=WORDS)
    for reader in (requester, helper):
        with acting_as(reader):
            thread = read_conversation(conversation_id=conversation.pk, before=None)
            moved = Conversation.objects.get(pk=conversation.pk).last_message_at
        if [message.content for message in thread.messages] != [WORDS, WORDS]:
            raise StepFailed("a message does not arrive as it was written")
        said_at = sent.message.created_at
        if not (moved and said_at and moved >= said_at):
            raise StepFailed(
                "no trigger on messages keeps conversations.last_message_at, so that a new message does not bring its"
                " conversation to the top"
            )


def _export(member: User) -> None:
    build_archive(member=member, on_progress=lambda _done, _total: None)


def _erase(actor: User, member: User) -> None:
    # Not the service, which also deletes files: a rollback would not bring them back.
    with acting_as(actor):
        scrub(member.pk)
    if User.objects.get(pk=member.pk).email is not None:
        raise StepFailed("the member's address is still there")
